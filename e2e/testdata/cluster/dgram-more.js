// Datagram sockets: what is bound without a word, closed in the wrong moment, or of one family alone.
const dgram = require('dgram');
const { steps, bind } = require('./tell');
const closed = (s) => new Promise((resolve) => s.close(resolve));
const both = async (options) => {
  const one = await bind(dgram.createSocket({ type: 'udp6', ...options }), 0);
  const two = dgram.createSocket('udp4');
  try {
    await bind(two, { port: one.address().port, exclusive: true });
    return 'IPv4 is free';
  } finally {
    await closed(one);
    await closed(two);
  }
};
steps({
  'bound by send()': async () => {
    const s = dgram.createSocket('udp4');
    const error = await new Promise((resolve) => s.send('hello', Number(process.env.TEST_TAKEN_UDP), '127.0.0.1', resolve));
    const { address, port } = s.address();
    await closed(s);
    return { error, address, port: port > 0 };
  },
  'closed while it binds': async () => {
    const s = dgram.createSocket('udp4');
    s.bind(0);
    await closed(s);
    return 'closed';
  },
  'closed in listening': async () => {
    const s = dgram.createSocket('udp4');
    await new Promise((resolve) => s.bind(0, () => s.close(resolve)));
    return 'closed';
  },
  'ipv6Only': () => both({ ipv6Only: true }),
  'not ipv6Only': () => both({}),
  'connected': async () => {
    const s = await bind(dgram.createSocket('udp4'), { port: 0, address: '127.0.0.1' });
    await new Promise((resolve) => s.connect(Number(process.env.TEST_TAKEN_UDP), '127.0.0.1', resolve));
    const { address } = s.remoteAddress();
    await closed(s);
    return address;
  },
  'reusePort, one port twice': async () => {
    const one = await bind(dgram.createSocket({ type: 'udp4', reusePort: true }), 0);
    try {
      const two = await bind(dgram.createSocket({ type: 'udp4', reusePort: true }), one.address().port);
      await closed(two);
      return 'both are bound';
    } finally {
      await closed(one);
    }
  },
});
