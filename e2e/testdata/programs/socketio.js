// socket.io: it echoes, and says who it is.
const { Server } = require('socket.io');
const io = new Server(3000, { transports: ['websocket'] });
io.on('connection', (socket) => {
  socket.on('echo', (text, answer) => answer(`${process.pid} ${text}`));
});
