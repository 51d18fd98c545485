/**
 * What lies between the nodes: all their connections to each other go through here.
 *
 *   node ── its own port here, first line: where to ──▶ link from -> to ──▶ the other node
 *        ◀──────────────────────────────────────────── link to -> from ◀──
 *
 * In: which links are held, cut or slow. Out: the same to the nodes, without their knowing. A node
 * knows nothing of it but the shim (`peer-shim.mjs`): addresses stay what they are.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { LinkPump, type LinkState } from './link-pump.js';

const HELLO_BYTES_MAX = 256;

interface Link extends LinkState {
  /** New connections are refused, and those that were there are broken. */
  isCut: boolean;
}

interface Connection {
  readonly from: number;
  readonly to: number;
  readonly near: Socket;
  far: Socket | undefined;
  readonly pumps: LinkPump[];
  /** Connects to the other side once the link lets it. */
  open: () => void;
}

export class LinkProxy {
  private readonly servers = new Map<number, Server>();
  private readonly nodes = new Map<string, number>();
  private readonly links = new Map<string, Link>();
  private readonly connections = new Set<Connection>();

  /** The port that this node connects to instead of all others. */
  async addNode(id: number, raftAddress: string): Promise<number> {
    this.nodes.set(raftAddress, id);
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.accept(id, socket),
    ).listen(0, '127.0.0.1');
    this.servers.set(id, server);
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  /** Bytes of this direction wait, and so do new connections: nobody is told. */
  hold(from: number, to: number): void {
    this.link(from, to).isHeld = true;
  }

  /** Connections between the two break, and new ones are refused. */
  cut(from: number, to: number): void {
    this.link(from, to).isCut = true;
    this.reset(from, to);
  }

  slow(from: number, to: number, delayMs: number): void {
    this.link(from, to).delayMs = delayMs;
  }

  /** Bytes flow again; what was held comes now, unless its connections are broken. */
  heal(from: number, to: number, how: 'late' | 'reset'): void {
    const link = this.link(from, to);
    if (how === 'reset') this.reset(from, to);
    link.isHeld = false;
    link.isCut = false;
    this.move();
  }

  healAll(): void {
    for (const link of this.links.values()) {
      Object.assign(link, { isHeld: false, isCut: false, delayMs: 0 });
    }
    this.move();
  }

  /** Idempotent. */
  close(): void {
    for (const server of this.servers.values()) server.close();
    this.servers.clear();
    for (const connection of [...this.connections]) this.destroy(connection);
  }

  private link(from: number, to: number): Link {
    const name = `${from}>${to}`;
    let link = this.links.get(name);
    if (!link) {
      link = { isHeld: false, isCut: false, delayMs: 0 };
      this.links.set(name, link);
    }
    return link;
  }

  private move(): void {
    for (const { open, pumps } of this.connections) {
      open();
      for (const pump of pumps) pump.move();
    }
  }

  private reset(from: number, to: number): void {
    for (const connection of [...this.connections]) {
      const { from: one, to: other } = connection;
      const isOfBoth = (one === from && other === to) || (one === to && other === from);
      if (isOfBoth) this.destroy(connection);
    }
  }

  private destroy(connection: Connection): void {
    const { near, far, pumps } = connection;
    for (const pump of pumps) pump.stop();
    near.resetAndDestroy();
    far?.resetAndDestroy();
    this.connections.delete(connection);
  }

  /** Reads the first line, which says where the node wants to go. */
  private accept(from: number, near: Socket): void {
    // A node that is killed breaks its connections: from then on the pumps pass that on.
    near.on('error', () => near.destroy());
    let read = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      read = Buffer.concat([read, chunk]);
      const end = read.indexOf('\n');
      if (end < 0 && read.length < HELLO_BYTES_MAX) return;
      near.off('data', onData);
      near.pause();
      const address = read.toString('latin1', 0, Math.max(0, end));
      if (end + 1 < read.length) near.unshift(read.subarray(end + 1));
      const to = this.nodes.get(address);
      if (to === undefined) near.resetAndDestroy();
      else this.join(from, to, address, near);
    };
    near.on('data', onData);
  }

  private join(from: number, to: number, address: string, near: Socket): void {
    const [forth, back] = [this.link(from, to), this.link(to, from)];
    if (forth.isCut || back.isCut) {
      near.resetAndDestroy();
      return;
    }
    const open = (): void => {
      if (connection.far || near.destroyed || forth.isHeld || back.isHeld) return;
      const [host = '', port = ''] = address.split(':');
      const far = connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true });
      connection.far = far;
      // The pumps pass the break on; what is left is to know of connections that ended.
      far.on('close', () => this.forget(connection));
      connection.pumps.push(new LinkPump(near, far, forth), new LinkPump(far, near, back));
      near.resume();
    };
    const connection: Connection = { from, to, near, far: undefined, pumps: [], open };
    this.connections.add(connection);
    near.on('close', () => this.forget(connection));
    open();
  }

  private forget(connection: Connection): void {
    const { near, far } = connection;
    if (near.destroyed && (far === undefined || far.destroyed)) this.connections.delete(connection);
  }
}
