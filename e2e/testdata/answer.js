// An ordinary server: answers with its process id. TEST_LISTEN is what it passes to listen().
require('http').createServer((req, res) => res.end(String(process.pid))).listen(JSON.parse(process.env.TEST_LISTEN));
