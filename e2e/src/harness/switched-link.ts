/**
 * A way between two places that can be cut, held back and slowed: whoever connects here talks to the target.
 *
 * In: a target, and what the way is like now. Out: the same bytes in both directions, when the way lets
 * them. It stays at its address whatever becomes of it.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { LinkPump, type LinkState } from '../faults/link-pump.js';

interface Connection {
  readonly near: Socket;
  readonly far: Socket;
  readonly pumps: readonly LinkPump[];
}

export class SwitchedLink {
  private readonly state: LinkState = { isHeld: false, delayMs: 0 };
  private readonly connections = new Set<Connection>();
  private isCut = false;

  private constructor(
    private readonly server: Server,
    private readonly target: URL,
    /** Where to connect to. */
    readonly address: string,
  ) {
    server.on('connection', (near) => this.accept(near));
  }

  /** `target` is an http:// address. */
  static async start(target: string): Promise<SwitchedLink> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    return new SwitchedLink(server, new URL(target), `http://127.0.0.1:${port}`);
  }

  /** What was connected breaks, and nobody new is let through. */
  cut(): void {
    this.isCut = true;
    this.reset();
  }

  /** Bytes wait, and nobody is told. */
  hold(): void {
    this.state.isHeld = true;
  }

  slow(delayMs: number): void {
    this.state.delayMs = delayMs;
  }

  /** What was held back comes now. */
  heal(): void {
    this.isCut = false;
    Object.assign(this.state, { isHeld: false, delayMs: 0 });
    for (const { pumps } of this.connections) for (const pump of pumps) pump.move();
  }

  /** Idempotent. */
  close(): void {
    this.server.close();
    this.reset();
  }

  private reset(): void {
    for (const connection of [...this.connections]) this.drop(connection);
  }

  private drop(connection: Connection): void {
    const { near, far, pumps } = connection;
    this.connections.delete(connection);
    for (const pump of pumps) pump.stop();
    near.resetAndDestroy();
    far.resetAndDestroy();
  }

  private accept(near: Socket): void {
    // A process that is killed breaks its connections: the pumps pass that on.
    near.on('error', () => near.destroy());
    if (this.isCut) {
      near.resetAndDestroy();
      return;
    }
    const { hostname, port } = this.target;
    const options = { host: hostname, port: Number(port), allowHalfOpen: true, noDelay: true };
    const far = connect(options);
    const pumps = [
      new LinkPump(near, far, this.state),
      new LinkPump(far, near, this.state),
    ] as const;
    const connection = { near, far, pumps };
    this.connections.add(connection);
    for (const socket of [near, far]) {
      socket.on('close', () => {
        if (near.destroyed && far.destroyed) this.connections.delete(connection);
      });
    }
  }
}
