// Node's own cluster around hello.js: BENCH_WORKERS workers, distributed as
// NODE_CLUSTER_SCHED_POLICY says. It tells BENCH_READY when all of them listen.
'use strict';

const cluster = require('node:cluster');
const net = require('node:net');

if (cluster.isPrimary) {
  const ready = process.env.BENCH_READY;
  delete process.env.BENCH_READY;
  let missing = Number(process.env.BENCH_WORKERS);
  cluster.on('listening', () => {
    if (--missing === 0) net.connect(ready).end();
  });
  for (let i = missing; i > 0; i--) cluster.fork();
} else {
  require('./hello.js');
}
