// What a scenario finds goes to the test, a line each, by the FIFO TEST_FACTS.
const fs = require('fs');
const line = (value) => fs.appendFileSync(process.env.TEST_FACTS, JSON.stringify({ pid: process.pid, ...value }) + '\n');
exports.tell = (what, fact) => line({ what, fact });
exports.done = () => line({ done: true });
exports.dir = process.env.TEST_DIR;
// Where paths.js has this worker's files.
const mine = `${exports.dir}/${process.pid}`;
// Each step has its own part of the program, one after the other; a step that never ends is the test's to notice.
exports.steps = async (steps) => {
  for (const [what, step] of Object.entries(steps)) {
    let fact;
    try {
      fact = await step();
    } catch (err) {
      fact = { error: err.code, message: err.message.replace(mine, exports.dir).replace(exports.dir, 'DIR').replace(/\d{4,}/g, 'PORT') };
    }
    exports.tell(what, fact);
  }
  exports.done();
};
exports.listen = (server, ...args) => new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(...args, () => { server.off('error', reject); resolve(server); });
});
exports.close = (server) => new Promise((resolve) => server.close(resolve));
exports.bind = (socket, ...args) => new Promise((resolve, reject) => {
  socket.once('error', reject);
  socket.bind(...args, () => { socket.off('error', reject); resolve(socket); });
});
// What a client gets from a server that writes and ends.
exports.ask = (where) => new Promise((resolve, reject) => {
  let text = '';
  require('net').connect(where).on('data', (chunk) => { text += chunk; }).on('end', () => resolve(text)).on('error', reject);
});
