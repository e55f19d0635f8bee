// Before the server of ledger.js: it also echoes what comes over a connection that was
// upgraded, and counts aloud every 20 ms.
const { Server } = require('http');
const { listen } = Server.prototype;
Server.prototype.listen = function (...args) {
  this.on('upgrade', (req, socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n');
    socket.pipe(socket);
  });
  return listen.apply(this, args);
};
let n = 0;
setInterval(() => console.log(`tick ${process.pid} ${n++}`), 20).unref();
