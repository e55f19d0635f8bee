// Before the server of a test: the worker of slot 1 is one that nothing ends but SIGKILL,
// with a child as stubborn in a session of its own. The others are as usual.
if (process.env.RONDO_SLOT === '1') {
  const { emit } = process;
  process.emit = function (event, message, ...rest) {
    if (event === 'disconnect' || event === 'internalMessage' && message.act === 'disconnect') return true;
    return emit.call(this, event, message, ...rest);
  };
  process.exit = () => {};
  process.on('SIGTERM', () => {});
  setInterval(() => {}, 1 << 30);
  const child = `process.on('SIGTERM', () => {}); setInterval(() => {}, 1 << 30)`;
  require('child_process').spawn(process.execPath, ['-e', child], { detached: true, stdio: 'ignore' });
}
