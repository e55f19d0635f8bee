// Servers that are closed in the wrong moment.
const net = require('net');
const { steps, listen, close, ask } = require('./tell');
const server = (text = 'served') => net.createServer((c) => c.end(text));
steps({
  'closed in its callback': async () => {
    const s = await listen(server(), 0);
    return { closed: await new Promise((resolve) => s.close((err) => resolve(err ? err.code : true))) };
  },
  'closed before it listens': async () => {
    const s = server();
    s.on('error', () => {});
    s.listen(0);
    const answer = await new Promise((resolve) => s.close((err) => resolve(err ? err.code : 'closed')));
    const after = await listen(server(), 0); // whose answer comes after that of the first
    const facts = { answer, listening: s.listening };
    if (s.listening) await close(s);
    await close(after);
    return facts;
  },
  'opened again at once': async () => {
    const s = await listen(server('first'), 0);
    const { port } = s.address();
    s.close();
    const again = await listen(server('second'), port);
    const answer = await ask({ port });
    await close(again);
    return answer;
  },
  'ten at once': async () => {
    const all = await Promise.all(Array.from({ length: 10 }, (_, i) => listen(server(String(i)), 0)));
    const answers = await Promise.all(all.map((s) => ask({ port: s.address().port })));
    await Promise.all(all.map(close));
    return answers;
  },
  'reusePort, one port twice': async () => {
    const one = await listen(server(), { port: 0, reusePort: true });
    try {
      const two = await listen(server(), { port: one.address().port, reusePort: true });
      await close(two);
      return 'both listen';
    } finally {
      await close(one);
    }
  },
});
