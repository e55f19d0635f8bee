// HTTP/2, and HTTP/1.1 for those who know no better.
const fs = require('fs');
const { setTimeout: sleep } = require('timers/promises');
const { createSecureServer } = require('http2');
const pair = { key: fs.readFileSync('key.pem'), cert: fs.readFileSync('cert.pem') };
const server = createSecureServer({ ...pair, allowHTTP1: true }, async (req, res) => {
  const id = req.headers['x-ledger-id'] ?? '';
  await sleep(Number(req.headers['x-ledger-first-byte-ms'] ?? 0));
  res.writeHead(200, { 'X-Ledger-Id': id, 'X-Rondo-Pid': process.pid, 'Content-Length': id.length + 1 });
  res.end(`${id}\n`);
});
server.listen(3000);
