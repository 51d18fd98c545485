/**
 * A long way between two places on one machine: whoever connects here talks to the target, later.
 *
 * In: a target and a delay for each way. Out: the same bytes in both directions, each that much later.
 * Its bandwidth is bounded by what it holds back, far above what a delay costs by itself.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { LinkPump } from '../faults/link-pump.js';

const HELD_BYTES_MAX = 64 * 1024 * 1024;

export class DelayProxy {
  /** Bytes in both directions, and in how many pieces they came. */
  readonly traffic = { chunks: 0, bytes: 0 };
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    /** Where to connect to. */
    readonly address: string,
  ) {}

  /** `target` is an http:// address. */
  static async start(target: string, delayMs: number): Promise<DelayProxy> {
    const { hostname, port } = new URL(target);
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port: own } = server.address() as AddressInfo;
    const proxy = new DelayProxy(server, `http://127.0.0.1:${own}`);
    server.on('connection', (near) => {
      const far = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
      far.setNoDelay(true);
      proxy.join(near, far, delayMs);
    });
    return proxy;
  }

  /** Idempotent. */
  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  private join(near: Socket, far: Socket, delayMs: number): void {
    const pumps = [
      new LinkPump(near, far, { isHeld: false, delayMs, heldBytesMax: HELD_BYTES_MAX }),
      new LinkPump(far, near, { isHeld: false, delayMs, heldBytesMax: HELD_BYTES_MAX }),
    ];
    for (const socket of [near, far]) {
      this.sockets.add(socket);
      socket.on('data', (chunk: Buffer) => {
        this.traffic.chunks++;
        this.traffic.bytes += chunk.length;
      });
      socket.on('close', () => {
        this.sockets.delete(socket);
        if (!this.sockets.has(near) && !this.sockets.has(far))
          for (const pump of pumps) pump.stop();
      });
    }
  }
}
