// maxConnections and dropMaxConnection, of a worker that is alone.
const net = require('net');
const { steps, listen, close } = require('./tell');
steps({
  'dropMaxConnection': async () => {
    const held = [];
    const s = net.createServer((c) => { held.push(c); c.write('held'); });
    s.maxConnections = 1;
    s.dropMaxConnection = true;
    let dropped = 0;
    s.on('drop', () => { dropped++; });
    await listen(s, 0);
    const first = net.connect(s.address().port);
    await new Promise((resolve) => first.once('data', resolve));
    if (Number(process.versions.node.split('.')[0]) < 22) { // it is of no meaning there, and the second one would wait
      first.destroy();
      await close(s);
      return 'not known';
    }
    const second = net.connect(s.address().port);
    await new Promise((resolve) => second.once('close', resolve).on('error', () => {}));
    first.destroy();
    held.forEach((c) => c.destroy());
    await close(s);
    return { dropped };
  },
  'maxConnections: served when there is room again': async () => {
    const held = [];
    const s = net.createServer((c) => { held.push(c); c.write('held'); });
    s.maxConnections = 1;
    await listen(s, 0);
    const first = net.connect(s.address().port);
    await new Promise((resolve) => first.once('data', resolve));
    const second = net.connect(s.address().port);
    const served = new Promise((resolve) => second.once('data', resolve));
    await new Promise((resolve) => second.once('connect', resolve));
    held[0].destroy();
    const text = String(await served);
    second.destroy();
    held.forEach((c) => c.destroy());
    await close(s);
    return text;
  },
});
