// A server that answers each message of its parent with the same, and its process id.
process.on('message', (message) => process.send({ pid: process.pid, message }));
require('http').createServer((req, res) => res.end(String(process.pid))).listen(3000);
