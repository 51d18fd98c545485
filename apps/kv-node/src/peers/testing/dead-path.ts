/**
 * A TCP path between a node and those that connect to it, which can die without a word.
 *
 * In: connections, and which direction carries nothing now. Out: bytes, and closings, of the
 * directions that live; those of a dead one vanish, on old connections and on new ones. What has
 * vanished is never delivered later, so a connection that lost something can only be given up.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** `there` leads to the node, `back` from it. */
export type Direction = 'there' | 'back';

export class DeadPath {
  private readonly sockets = new Set<Socket>();
  private readonly dead = new Set<Direction>();
  private readonly server: Server;
  /** Connections made to this path, ever. */
  accepted = 0;

  private constructor(private readonly nodePort: number) {
    this.server = createServer((socket) => this.accept(socket));
  }

  static async before(nodePort: number): Promise<DeadPath> {
    const path = new DeadPath(nodePort);
    path.server.listen(0, '127.0.0.1');
    await once(path.server, 'listening');
    return path;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Sockets that either side still holds open, two for a connection. */
  get openSockets(): number {
    return this.sockets.size;
  }

  die(...directions: Direction[]): void {
    for (const direction of directions) this.dead.add(direction);
  }

  heal(): void {
    this.dead.clear();
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }

  private accept(socket: Socket): void {
    this.accepted++;
    const target = connect(this.nodePort, '127.0.0.1');
    this.carry(socket, target, 'there');
    this.carry(target, socket, 'back');
  }

  private carry(from: Socket, to: Socket, direction: Direction): void {
    this.sockets.add(from);
    from.on('data', (data) => {
      if (!this.dead.has(direction) && to.writable) to.write(data);
    });
    // What an error has to say, the close that follows says as well.
    from.on('error', () => undefined);
    from.on('close', () => {
      this.sockets.delete(from);
      if (!this.dead.has(direction)) to.destroy();
    });
  }
}
