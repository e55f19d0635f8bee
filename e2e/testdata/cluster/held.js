// A worker that is to leave waits for its connections.
const cluster = require('cluster');
const net = require('net');
const { tell, done } = require('./tell');
const order = [];
const server = net.createServer((c) => c.pipe(c));
cluster.worker.on('disconnect', () => {
  tell('the order of things', [...order, 'the worker is disconnected']);
  done();
});
server.listen(0, () => {
  const c = net.connect(server.address().port).on('end', () => c.end());
  server.once('connection', async () => {
    cluster.worker.disconnect();
    for (const text of ['one', 'two', 'three']) {
      const echoed = new Promise((resolve) => c.once('data', resolve));
      c.write(text);
      order.push(`${await echoed} came back`);
    }
    order.push('the client is done');
    c.end();
  });
});
