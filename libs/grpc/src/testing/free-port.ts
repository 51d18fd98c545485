/** Ports for servers that tests start: asked for before anybody listens on them. */
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the ports that systems give to outgoing connections: one of those may be taken any moment. */
const PORTS = { from: 10_000, below: 32_000 };
const GIVEN_MAX = 10_000;

/** Many are asked for before the first is used, and a killed server comes back to its own: none is given twice. */
const given = new Set<number>();

/** A port of 127.0.0.1 on which nobody listens, another one each time. */
export async function freePort(): Promise<number> {
  if (given.size >= GIVEN_MAX) throw new Error(`a process gets ${GIVEN_MAX} ports at most`);
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.below - PORTS.from));
    if (given.has(port)) continue;
    given.add(port);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
