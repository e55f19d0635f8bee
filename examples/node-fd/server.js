// An HTTP server of plain Node on a descriptor that the service manager passed.
//
//   systemd-socket-activate -l 8080 rondo run -- node examples/node-fd/server.js
//   curl http://127.0.0.1:8080/
'use strict';

const http = require('node:http');

http.createServer((request, response) => {
  response.end(`${process.pid}\n`);
}).listen({ fd: 3 });
