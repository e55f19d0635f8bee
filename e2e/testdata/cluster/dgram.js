// Datagram sockets.
const dgram = require('dgram');
const { steps, bind, dir } = require('./tell');
const closed = (s) => new Promise((resolve) => s.close(resolve));
const roundTrip = async (type, options, to) => {
  const s = await bind(dgram.createSocket(type), options);
  const { address, family, port } = s.address();
  const own = dgram.createSocket(type);
  const got = new Promise((resolve) => s.once('message', (text, from) => resolve(`${text} from ${from.address}`)));
  await bind(own, { port: 0, exclusive: true });
  own.send('hello', port, to);
  const message = await got;
  await closed(own);
  await closed(s);
  return { address, family, message };
};
steps({
  'udp4': () => roundTrip('udp4', { port: 0 }, '127.0.0.1'),
  'udp4 at an address': () => roundTrip('udp4', { port: 0, address: '127.0.0.1' }, '127.0.0.1'),
  'udp6': () => roundTrip('udp6', { port: 0 }, '::1'),
  'udp6 at an address': () => roundTrip('udp6', { port: 0, address: '::1' }, '::1'),
  'two on any port have two': async () => {
    const [a, b] = [await bind(dgram.createSocket('udp4'), 0), await bind(dgram.createSocket('udp4'), 0)];
    const different = a.address().port !== b.address().port;
    await closed(a);
    await closed(b);
    return different;
  },
  'reuseAddr: one port twice': async () => {
    const a = await bind(dgram.createSocket({ type: 'udp4', reuseAddr: true }), 0);
    const b = await bind(dgram.createSocket({ type: 'udp4', reuseAddr: true }), a.address().port);
    const same = a.address().port === b.address().port;
    await closed(a);
    await closed(b);
    return same;
  },
  'a taken port': async () => {
    await bind(dgram.createSocket('udp4'), { port: Number(process.env.TEST_TAKEN_UDP), address: '127.0.0.1' });
    return 'bound';
  },
  'closed and bound again': async () => {
    const a = await bind(dgram.createSocket('udp4'), 0);
    const { port } = a.address();
    await closed(a);
    const b = await bind(dgram.createSocket('udp4'), port);
    await closed(b);
    return 'bound';
  },
});
