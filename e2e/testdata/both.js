// One program on two addresses: TEST_LISTEN is a list of what it passes to listen().
const http = require('http');
for (const where of JSON.parse(process.env.TEST_LISTEN)) {
  http.createServer((req, res) => res.end(String(process.pid))).listen(where);
}
