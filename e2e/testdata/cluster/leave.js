// A worker that leaves of its own will: what its events and properties say, in their order.
const cluster = require('cluster');
const net = require('net');
const { tell, done } = require('./tell');
const say = (what) => tell(what, { connected: process.connected, left: cluster.worker.exitedAfterDisconnect, is: cluster.worker.isConnected() });
const server = net.createServer((c) => c.end());
server.on('close', () => tell('the server is closed', null));
cluster.worker.on('disconnect', () => { say('the worker is disconnected'); });
process.on('exit', (code) => { say('exit'); tell('exit code', code); done(); });
server.listen(0, () => {
  say('listening');
  if (process.env.TEST_WAY === 'process.disconnect') process.disconnect();
  else cluster.worker[process.env.TEST_WAY]();
});
