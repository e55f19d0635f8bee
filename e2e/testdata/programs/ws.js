// ws: it echoes, and says who it is.
const { WebSocketServer } = require('ws');
const server = new WebSocketServer({ port: 3000 });
server.on('connection', (socket) => {
  socket.on('message', (data) => socket.send(`${process.pid} ${data}`));
});
