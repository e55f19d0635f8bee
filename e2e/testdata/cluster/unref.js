// A server that does not hold its process.
const net = require('net');
const { tell, done } = require('./tell');
process.on('exit', (code) => { tell('a worker whose only server is unref\'d ends', code); done(); });
const server = net.createServer().listen(0, () => {
  server.unref();
  process.channel.unref();
});
