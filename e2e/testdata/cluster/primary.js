// Node's own cluster: runs the program argv[2] as so many workers as argv[3] says, and does
// with what they say what the test's master does: sends messages back, closes handles, and
// tells how workers end.
const cluster = require('cluster');
const fs = require('fs');
const line = (value) => fs.appendFileSync(process.env.TEST_FACTS, JSON.stringify(value) + '\n');
cluster.setupPrimary({ exec: process.argv[2] });
cluster.on('message', (worker, message, handle) => {
  if (handle) handle[handle.destroy ? 'destroy' : 'close']();
  else if (JSON.stringify(message).length < 10000) worker.send(message);
});
cluster.on('listening', (worker) => { if (process.env.TEST_ENDS) worker.send('end'); });
cluster.on('exit', (worker, code, signal) => {
  if (!process.env.TEST_ENDS && code === 0) return;
  line({ what: process.env.TEST_ENDS || 'the worker fails: its code and its signal', fact: [code, signal] });
  line({ done: true });
});
for (let n = Number(process.argv[3]); n > 0; n--) cluster.fork();
