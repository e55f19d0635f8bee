// Fastify, which listens on each address of localhost.
const { setTimeout: sleep } = require('timers/promises');
const fastify = require('fastify')();
fastify.get('/', async (request, reply) => {
  const id = request.headers['x-ledger-id'] ?? '';
  await sleep(Number(request.headers['x-ledger-first-byte-ms'] ?? 0));
  return reply.headers({ 'X-Ledger-Id': id, 'X-Rondo-Pid': process.pid }).send(`${id}\n`);
});
fastify.listen({ port: 3000 });
