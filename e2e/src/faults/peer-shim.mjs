// Loaded into a node before it starts (NODE_OPTIONS=--import): what it connects to on this machine is
// reached through the harness, which is told the real address in a first line and may hold back, delay
// or cut what follows. Sees to it as well that a node does not outlive the harness.
import net from 'node:net';

const port = Number(process.env.PEER_PROXY_PORT);
const direct = net.connect;

function connect(options, ...rest) {
  if (typeof options !== 'object' || options.port === undefined) return direct(options, ...rest);
  const { host = '127.0.0.1' } = options;
  const socket = direct({ ...options, host: '127.0.0.1', port }, ...rest);
  // Waits in the socket until there is a connection, in front of all that is written later.
  socket.write(`${host}:${options.port}\n`);
  return socket;
}

net.connect = connect;
net.createConnection = connect;

process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
