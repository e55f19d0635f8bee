// Sockets of a worker alone do not hold its membership.
const cluster = require('cluster');
const dgram = require('dgram');
const net = require('net');
const { tell, done, listen, bind } = require('./tell');
(async () => {
  const server = await listen(net.createServer(), { port: 0, exclusive: true });
  const socket = await bind(dgram.createSocket('udp4'), { port: 0, exclusive: true });
  cluster.worker.on('disconnect', () => {
    tell('disconnected, and they are open', { server: server.listening, socket: socket.address().port > 0 });
    done();
    process.exit(0);
  });
  cluster.worker.disconnect();
})();
