// HTTPS.
const fs = require('fs');
const { setTimeout: sleep } = require('timers/promises');
const { createServer } = require('https');
const pair = { key: fs.readFileSync('key.pem'), cert: fs.readFileSync('cert.pem') };
const server = createServer(pair, async (req, res) => {
  const id = req.headers['x-ledger-id'] ?? '';
  await sleep(Number(req.headers['x-ledger-first-byte-ms'] ?? 0));
  res.writeHead(200, { 'X-Ledger-Id': id, 'X-Rondo-Pid': process.pid, 'Content-Length': id.length + 1 });
  res.end(`${id}\n`);
});
server.listen(3000);
