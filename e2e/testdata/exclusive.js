// A server that has one more listener, which it does not share.
const http = require('http');
http.createServer((req, res) => res.end(String(process.pid))).listen(3000);
http.createServer((req, res) => res.end('mine')).listen({ port: 0, host: '127.0.0.1', exclusive: true });
