// The Node app of every side: it answers each request with its process id.
// Nothing in it knows of rondo. BENCH_LISTEN is HOST:PORT; when it listens, it
// connects once to the unix socket BENCH_READY, if that is set.
'use strict';

const http = require('node:http');
const net = require('node:net');

const body = `${process.pid}\n`;
const [host, port] = process.env.BENCH_LISTEN.split(':');
const where = process.env.LISTEN_FDS ? { fd: 3 } : { host, port };

http.createServer((request, response) => response.end(body)).listen(where, () => {
  if (process.env.BENCH_READY) net.connect(process.env.BENCH_READY).end();
});
