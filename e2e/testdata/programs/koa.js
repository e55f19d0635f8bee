// Koa.
const { setTimeout: sleep } = require('timers/promises');
const Koa = require('koa');
const app = new Koa();
app.use(async (ctx) => {
  const id = ctx.get('x-ledger-id');
  await sleep(Number(ctx.get('x-ledger-first-byte-ms')));
  ctx.set({ 'X-Ledger-Id': id, 'X-Rondo-Pid': String(process.pid) });
  ctx.body = `${id}\n`;
});
app.listen(3000);
