// Answers what came of each thing that a directive which units leave off would
// prevent.
const fs = require('fs');
const net = require('net');
const os = require('os');
const { spawnSync } = require('child_process');

const tried = (what) => {
  try {
    return what();
  } catch (e) {
    return e.code;
  }
};

// A datagram tells at once that it may not go, where a connection would be waited for.
const sent = () => new Promise((done) => {
  const s = require('dgram').createSocket('udp4');
  s.on('error', (e) => done(e.code));
  s.send('?', 9, '127.0.0.1', (e) => {
    done(e?.code);
    s.close();
  });
});

const asked = async (port) => await sent() ?? new Promise((done) => {
  const c = net.connect(port, '127.0.0.1', () => {
    done('connected');
    c.destroy();
  });
  c.on('error', (e) => done(e.code));
});

// The worker's own, of which the master does not know.
const itself = () => new Promise((done) => {
  const l = net.createServer((c) => c.destroy());
  l.on('error', (e) => done(e.code));
  l.listen({ port: 0, host: '127.0.0.1', exclusive: true }, async () => {
    done(await asked(l.address().port));
    l.close();
  });
});

const written = (path) => {
  fs.rmSync(path, { force: true });
  fs.writeFileSync(path, '');
  return (fs.statSync(path).mode & 0o777).toString(8);
};

require('http').createServer(async (req, res) => {
  res.end(JSON.stringify({
    processors: String(os.cpus().length),
    interfaces: tried(() => Object.keys(os.networkInterfaces()).join(' ')),
    others: await asked(8080), // where the machine listens
    itself: await itself(),
    upload: tried(() => written('/srv/uploads/file')),
    temporary: tried(() => written('/tmp/file') && written('/var/tmp/file') && 'written'),
    batch: String(spawnSync('chrt', ['--batch', '0', 'true']).status),
    keys: spawnSync('/usr/local/bin/keys', ['has', 'KEY']).stdout?.toString(),
  }));
}).listen(3000);
