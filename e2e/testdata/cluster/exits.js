// How a worker ends, which its primary tells. It listens first, and is told when.
const cluster = require('cluster');
const net = require('net');
const ways = {
  'process.exit(3)': () => process.exit(3),
  'an exception': () => { throw new Error('on purpose'); },
  'a rejected promise': () => { Promise.reject(new Error('on purpose')); },
  'SIGTERM': () => process.kill(process.pid, 'SIGTERM'),
  'SIGKILL': () => process.kill(process.pid, 'SIGKILL'),
  'process.disconnect()': () => process.disconnect(),
  'worker.disconnect()': () => cluster.worker.disconnect(),
  'worker.kill()': () => cluster.worker.kill(),
  'worker.destroy()': () => cluster.worker.destroy(),
  'an error while it disconnects': () => { cluster.worker.disconnect(); throw new Error('on purpose'); },
};
process.once('message', ways[process.env.TEST_WAY]);
net.createServer().listen(0);
