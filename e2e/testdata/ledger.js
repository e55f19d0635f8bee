// An ordinary Node server that speaks the protocol of internal/ledger: it says who
// answered, echoes the id, and is as slow as a request asks. It knows nothing of rondo
// but the generation, which the environment tells.
const http = require('http');

const who = {
  'X-Rondo-Worker': process.env.RONDO_WORKER_ID || '0',
  'X-Rondo-Pid': String(process.pid),
  'X-Rondo-Generation': process.env.RONDO_GENERATION || '0',
};

const server = http.createServer((req, res) => {
  const id = req.headers['x-ledger-id'] || '';
  const wait = (name, then) => {
    const ms = Number(req.headers[name] || 0);
    if (ms > 0) setTimeout(then, ms); else then();
  };
  wait('x-ledger-first-byte-ms', () => {
    res.writeHead(200, { ...who, 'X-Ledger-Id': id, 'Content-Length': id.length + 1 });
    res.write(id);
    wait('x-ledger-body-ms', () => res.end('\n'));
  });
});

server.listen(JSON.parse(process.env.TEST_LISTEN || '3000'));
