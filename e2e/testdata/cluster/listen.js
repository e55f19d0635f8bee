// Addresses: what listen() is given, what address() says, and that it is served there.
const net = require('net');
const { steps, listen, close, ask } = require('./tell');
const server = () => net.createServer((c) => c.end('served'));
const try_ = async (options, to) => {
  const s = await listen(server(), options);
  const { address, family, port } = s.address();
  const answer = await ask({ port, host: to });
  await close(s);
  return { address, family, port: port > 0, answer };
};
steps({
  'any address': () => try_({ port: 0 }, '127.0.0.1'),
  'any address, by IPv6': () => try_({ port: 0 }, '::1'),
  'IPv4': () => try_({ port: 0, host: '127.0.0.1' }, '127.0.0.1'),
  'any IPv4': () => try_({ port: 0, host: '0.0.0.0' }, '127.0.0.1'),
  'IPv6': () => try_({ port: 0, host: '::1' }, '::1'),
  'any IPv6': () => try_({ port: 0, host: '::' }, '127.0.0.1'),
  'IPv6 alone': () => try_({ port: 0, host: '::', ipv6Only: true }, '::1'),
  'IPv6 alone, by IPv4': () => try_({ port: 0, host: '::', ipv6Only: true }, '127.0.0.1'),
  'exclusive': () => try_({ port: 0, exclusive: true }, '127.0.0.1'),
  'an address that is no one\'s': () => try_({ port: 0, host: '192.0.2.1' }, '127.0.0.1'),
  'a taken port': () => try_({ port: Number(process.env.TEST_TAKEN), host: '127.0.0.1' }, '127.0.0.1'),
});
