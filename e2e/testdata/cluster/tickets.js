// TLS session tickets are of all workers, so that a session is resumed on any of them.
const tls = require('tls');
const { tell, done } = require('./tell');
const server = tls.createServer({ key: process.env.TEST_KEY, cert: process.env.TEST_CERT }, (c) => c.end());
server.listen(Number(process.env.TEST_PORT), '127.0.0.1', () => {
  tell('same', require('crypto').createHash('sha256').update(server.getTicketKeys()).digest('hex'));
  done();
});
