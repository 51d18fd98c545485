/**
 * What carries frames and calls between nodes: a way to each other node, and a place to be called at.
 *
 * Everything above it (who lives, what waits, who is refused) is the same whatever it is made of.
 * gRPC is the real one; a simulation brings its own.
 */
import {
  type GrpcClient,
  type GrpcLogger,
  type GrpcTransport,
  type ServerTlsOptions,
} from '@flotilla/grpc';
import { type Message, type PassedAnswer, type PassedCall } from '@flotilla/raft';
import { type PeerDirectory, type PeerIdentity } from './hello.js';
import { PeerLink, type LinkCounters, type LinkEvents, type LinkOptions } from './peer-link.js';
import { PeerServer, type PeerHandlers } from './peer-server.js';

/** The way to one other node; made again by itself whenever it breaks. */
export interface PeerWay {
  readonly address: string;
  readonly isOpen: boolean;
  readonly client: Pick<GrpcClient, 'unary' | 'serverStream'>;
  send(group: number, message: Message): void;
  /** False when it cannot leave. */
  pass(call: PassedCall): boolean;
  answer(answer: PassedAnswer): boolean;
  quiesce(group: number, term: number, index: number): void;
  /** Says that this node lives if nothing else was sent for so many ticks; called every tick. */
  beatAfter(ticks: number, draining: boolean): void;
  close(): Promise<void>;
}

/** Where other nodes connect to. */
export interface PeerListener {
  readonly framesIn: number;
  readonly messagesIn: number;
  readonly bytesIn: number;
  /** Messages that did not come from the node that sent them. */
  readonly forged: number;
  listen(hostPort: string, tls: ServerTlsOptions | undefined): Promise<string>;
  isOpenFrom(node: number): boolean;
  close(graceMs: number): Promise<void>;
}

export interface PeerTransport {
  connect(
    options: LinkOptions,
    own: PeerIdentity,
    directory: PeerDirectory,
    events: LinkEvents,
    counters: LinkCounters,
  ): PeerWay;
  listener(
    own: PeerIdentity,
    directory: PeerDirectory,
    handlers: PeerHandlers,
    logger: GrpcLogger,
  ): PeerListener;
}

export function grpcTransport(kind: GrpcTransport): PeerTransport {
  return {
    connect: (...parts) => new PeerLink(...parts),
    listener: (...parts) => new PeerServer(kind, ...parts),
  };
}
