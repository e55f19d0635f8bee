// Hono on its server for Node, a program of ES modules.
import { setTimeout as sleep } from 'timers/promises';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
const app = new Hono();
app.get('/', async (c) => {
  const id = c.req.header('x-ledger-id') ?? '';
  await sleep(Number(c.req.header('x-ledger-first-byte-ms') ?? 0));
  return c.text(`${id}\n`, 200, { 'X-Ledger-Id': id, 'X-Rondo-Pid': String(process.pid) });
});
serve({ fetch: app.fetch, port: 3000 });
