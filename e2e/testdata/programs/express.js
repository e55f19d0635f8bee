// Express.
const { setTimeout: sleep } = require('timers/promises');
const express = require('express');
const app = express();
app.get('/', async (req, res) => {
  const id = req.get('x-ledger-id') ?? '';
  await sleep(Number(req.get('x-ledger-first-byte-ms') ?? 0));
  res.set({ 'X-Ledger-Id': id, 'X-Rondo-Pid': process.pid }).send(`${id}\n`);
});
app.listen(3000);
