// The app: an HTTP server of plain Node.
'use strict';
const http = require('node:http');
const { version } = require('./package.json');

http.createServer((request, response) => {
  response.end(`version ${version}, process ${process.pid}\n`);
}).listen(3000);
