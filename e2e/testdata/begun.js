// Before the server of ledger.js: it writes down each connection that it is given, and
// each request before it begins it, where the test reads them.
{
  const { openSync, writeSync } = require('fs');
  const { Server } = require('net'); // also of http, https and http2
  const { listen } = Server.prototype;
  const fd = openSync('/run/rondo/app/begun', 'a');
  Server.prototype.listen = function (...args) {
    this.prependListener('connection', (socket) => writeSync(fd, `took ${socket.remotePort} ${Date.now()}\n`));
    this.prependListener('request', (req) => writeSync(fd, `began ${req.headers['x-ledger-id']} 0\n`));
    return listen.apply(this, args);
  };
}
