// An HTTP server of plain Node. Nothing in it knows of rondo.
//
//   rondo run -- node examples/node-http/server.js     several workers behind one socket
//   node examples/node-http/server.js                  or alone
//   curl http://127.0.0.1:3000/
'use strict';

const http = require('node:http');

http.createServer((request, response) => {
  response.end(`${process.pid}\n`);
}).listen(3000);
