// A server as pm2's users write it: it ends its own work when it gets the message "shutdown". TEST_SAID is where it notes that.
process.on('message', (message) => {
  if (message === 'shutdown') require('fs').appendFileSync(process.env.TEST_SAID, `${process.pid} ${message}\n`);
});
require('http').createServer((req, res) => res.end(String(process.pid))).listen(3000);
