// Unix sockets. Each worker has paths of its own, so that modes and ends are its own.
const fs = require('fs');
const net = require('net');
const path = require('path');
const { steps, listen, close, ask, dir } = require('./tell');
const mine = path.join(dir, String(process.pid));
fs.mkdirSync(mine);
process.chdir(mine);
process.umask(0o022);
const server = () => net.createServer((c) => c.end('served'));
const mode = async (options) => {
  const s = await listen(server(), { path: 'mode.sock', ...options });
  const bits = (fs.statSync('mode.sock').mode & 0o777).toString(8);
  await close(s);
  return bits;
};
steps({
  'a path': async () => {
    const s = await listen(server(), path.join(mine, 'a.sock'));
    const answer = await ask(path.join(mine, 'a.sock'));
    const address = s.address().replace(mine, 'DIR');
    await close(s);
    return { answer, address };
  },
  'a relative path': async () => {
    const s = await listen(server(), './b.sock');
    const answer = await ask('b.sock');
    const address = s.address().replace(mine, 'DIR');
    await close(s);
    return { answer, address };
  },
  'modes': () => mode({}),
  'modes: readableAll': () => mode({ readableAll: true }),
  'modes: writableAll': () => mode({ writableAll: true }),
  'modes: both': () => mode({ readableAll: true, writableAll: true }),
  'a relative path in a deep directory': async () => {
    const deep = path.join(mine, 'd'.repeat(60), 'd'.repeat(60));
    fs.mkdirSync(deep, { recursive: true });
    process.chdir(deep);
    const s = await listen(server(), 'deep.sock');
    const answer = await ask('deep.sock');
    await close(s);
    process.chdir(mine);
    return answer;
  },
  'a path in no directory': async () => {
    await listen(server(), path.join(mine, 'nowhere', 'a.sock'));
    return 'opened';
  },
});
