// A primary of Node's cluster module that starts a program that is not Node.
//
//   node primary.js PROGRAM WORKERS rr|none
//
// It prints one JSON text a line for each event and takes commands from stdin:
// "disconnect ID" and "quit" (dies at once, its workers live on).
'use strict';

const cluster = require('node:cluster');
const readline = require('node:readline');

const [program, workers, policy] = process.argv.slice(2);
process.execPath = program;
cluster.schedulingPolicy = policy === 'none' ? cluster.SCHED_NONE : cluster.SCHED_RR;
cluster.setupPrimary({ exec: 'unused', execArgv: [] });

const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');

cluster.on('online', (worker) => say({ event: 'online', id: worker.id }));
cluster.on('listening', (worker, address) => say({ event: 'listening', id: worker.id, port: address.port }));
cluster.on('message', (worker, message) => say({ event: 'message', id: worker.id, message }));
cluster.on('exit', (worker, code, signal) =>
  say({ event: 'exit', id: worker.id, code, signal, voluntary: worker.exitedAfterDisconnect }));

for (let i = 0; i < Number(workers); i++) cluster.fork();

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [verb, id] = line.split(' ');
  if (verb === 'disconnect') cluster.workers[id].disconnect();
  if (verb === 'quit') process.kill(process.pid, 'SIGKILL');
});
