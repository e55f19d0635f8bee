// One program that opens and closes listeners, several at a time and one after the other.
const net = require('net');
const { steps, listen, close, ask } = require('./tell');
const server = (text) => net.createServer((c) => c.end(text));
let first, second;
steps({
  'two on any port have two': async () => {
    [first, second] = [await listen(server('first'), 0), await listen(server('second'), 0)];
    const ports = [first.address().port, second.address().port];
    return { different: ports[0] !== ports[1], answers: [await ask({ port: ports[0] }), await ask({ port: ports[1] })] };
  },
  'one that is open cannot be opened again': async () => {
    await listen(server('again'), second.address().port);
    return 'opened';
  },
  'one that was closed can be opened again': async () => {
    const { port } = second.address();
    await close(second);
    const again = await listen(server('again'), port);
    const answer = await ask({ port });
    await close(again);
    return answer;
  },
  'the other one was there all the time': () => ask({ port: first.address().port }),
  'a closed one is closed once': async () => {
    await close(first);
    return new Promise((resolve) => first.close((err) => resolve(err && err.code)));
  },
});
