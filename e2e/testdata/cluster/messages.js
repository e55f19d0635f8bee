// What a worker says to its primary, which says it back, and what becomes of sockets that it sends along.
const cluster = require('cluster');
const net = require('net');
const { steps, listen, close } = require('./tell');
const back = (message) => new Promise((resolve) => {
  process.on('message', function listener(got) {
    if (JSON.stringify(got) !== JSON.stringify(message)) return; // of an earlier step
    process.off('message', listener);
    resolve(got);
  });
  process.send(message);
});
const sent = (message, handle) => new Promise((resolve) => process.send(message, handle, (err) => resolve(err && err.message)));
// A server of this worker alone, the clients that it has, and what becomes of its ends.
const clients = async (n) => {
  const ends = [];
  const server = net.createServer({ pauseOnConnect: true }, (c) => ends.push(c));
  await listen(server, { port: 0, host: '127.0.0.1', exclusive: true });
  const ended = [];
  for (let i = 0; i < n; i++) {
    const accepted = new Promise((resolve) => server.once('connection', resolve));
    const c = net.connect(server.address().port, '127.0.0.1').on('error', () => {}).resume();
    ended.push(new Promise((resolve) => c.once('close', () => resolve('ended'))));
    await accepted;
  }
  return { server, ends, ended };
};
steps({
  'what a worker is': () => {
    const { worker } = cluster;
    return { isWorker: cluster.isWorker, isPrimary: cluster.isPrimary, id: typeof worker.id, same: worker.process === process,
      connected: worker.isConnected(), dead: worker.isDead(), left: String(worker.exitedAfterDisconnect), channel: process.connected };
  },
  'messages of all types, there and back': async () => {
    const all = [];
    for (const message of [0, 'text', '', true, null, [1, [{ a: null }]], { type: 'process:msg' }, { cmd: 'mine' }, { text: 'é😀\n"' }]) all.push(await back(message));
    return all;
  },
  'a message that looks like Node\'s own is not delivered': async () => {
    process.send({ cmd: 'NODE_MINE' });
    return back('after it');
  },
  'a message of 300 000 characters': () => sent('x'.repeat(300000)),
  'a message with a socket': async () => {
    const { server, ends, ended } = await clients(1);
    const facts = { error: await sent({ with: 'a socket' }, ends[0]), client: await ended[0] };
    await close(server);
    return facts;
  },
  'ten with a socket each, at once': async () => {
    const { server, ends, ended } = await clients(10);
    const facts = { errors: (await Promise.all(ends.map((end, i) => sent({ i }, end)))).filter((e) => e), clients: (await Promise.all(ended)).length };
    await close(server);
    return facts;
  },
  'a large one with a socket': async () => {
    const { server, ends, ended } = await clients(1);
    const facts = { error: await sent({ large: 'x'.repeat(300000) }, ends[0]), client: await ended[0] };
    await close(server);
    return facts;
  },
  'a server that has sent its socket away has none': async () => {
    const { server, ends, ended } = await clients(1);
    await sent({ with: 'a socket' }, ends[0]);
    await ended[0];
    const count = await new Promise((resolve) => server.getConnections((err, n) => resolve(err ? err.message : n)));
    await close(server);
    return count;
  },
  'the same socket twice': async () => {
    const { server, ends, ended } = await clients(1);
    const facts = { errors: await Promise.all([sent('one', ends[0]), sent('two', ends[0])]), client: await ended[0] };
    await close(server);
    return facts;
  },
  'a server': async () => {
    const server = await listen(net.createServer(), { port: 0, host: '127.0.0.1', exclusive: true });
    const error = await sent({ with: 'a server' }, server);
    await close(server);
    return { error };
  },
  'messages after all that': () => back('still there'),
});
