// An ordinary datagram server: answers with its process id and what it got. TEST_LISTEN is what it passes to bind().
const socket = require('dgram').createSocket(process.env.TEST_TYPE || 'udp4');
socket.on('message', (text, from) => socket.send(`${process.pid} ${text}`, from.port, from.address));
socket.bind(JSON.parse(process.env.TEST_LISTEN));
