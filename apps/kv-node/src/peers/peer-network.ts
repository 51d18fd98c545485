/**
 * All other nodes of the cluster, as this one sees them: ways to them, and whether they live.
 *
 *   alive: frames go both ways            lost: 'closed', both ways are broken (a process that died)
 *                                               'silent', nothing was heard for too long
 *
 * In: messages of the host, ticks, changes of the directory. Out: frames, calls, and `up`/`down`.
 * Silence is counted in ticks: a loop that stalled does not take everybody for dead.
 */
import { GrpcStatusError, status, type ClientTlsOptions } from '@flotilla/grpc';
import { type Message, type PassedAnswer, type PeerSender } from '@flotilla/raft';
import { type PeerCallOptions, type PeerCalls } from '../node/peer-calls.js';
import {
  helloMetadata,
  refusalOf,
  type PeerDirectory,
  type PeerIdentity,
  type Refusal,
} from './hello.js';
import { NOT_EXECUTED } from './not-executed.js';
import { PassedWaits } from './passed-waits.js';
import { SEND_QUEUE_BYTES_MAX, type LinkCounters } from './peer-link.js';
import { type PeerTransport, type PeerWay } from './peer-transport.js';

export interface PeerNetworkOptions {
  readonly transport: Pick<PeerTransport, 'connect'>;
  readonly tls: ClientTlsOptions | undefined;
  /** 0 for the built-in bound. */
  readonly queueBytesMax: number;
  /** Ticks without a frame until one is sent to say that this node lives. */
  readonly heartbeatTicks: number;
  /** Ticks without a frame until a node counts as lost. */
  readonly silentTicks: number;
  readonly random: () => number;
  readonly defer: (task: () => void) => void;
}

export interface PeerEvents {
  up(node: number): void;
  down(node: number, cause: 'closed' | 'silent'): void;
  refused(node: number, refusal: Refusal, by: 'them' | 'us'): void;
  dropped(node: number, group: number): void;
  /** Whether frames of a node are coming in now. */
  hasInbound(node: number): boolean;
}

interface PeerState {
  link: PeerWay;
  inbound: boolean;
  alive: boolean;
  silentTicks: number;
  aliveTicks: number;
  draining: boolean;
}

export class PeerNetwork implements PeerSender, PeerCalls {
  private readonly peers = new Map<number, PeerState>();
  private readonly passed: PassedWaits;
  private readonly closing: Promise<void>[] = [];
  private closed = false;
  /** Said in heartbeats: this node is about to stop. */
  draining = false;
  readonly counters: LinkCounters = {
    framesOut: 0,
    messagesOut: 0,
    bytesOut: 0,
    dropped: 0,
    reconnects: 0,
  };

  constructor(
    private readonly own: PeerIdentity,
    private readonly directory: PeerDirectory,
    private readonly options: PeerNetworkOptions,
    private readonly events: PeerEvents,
  ) {
    this.passed = new PassedWaits(options.random);
  }

  /** Brings the links in line with the directory. */
  refresh(): void {
    if (this.closed) return;
    const wanted = new Set(this.directory.others());
    for (const [node, peer] of [...this.peers]) {
      const address = this.directory.find(node)?.address;
      if (wanted.has(node) && address === peer.link.address) continue;
      this.peers.delete(node);
      this.closing.push(peer.link.close());
      if (peer.alive) this.events.down(node, 'closed');
    }
    for (const node of wanted) if (!this.peers.has(node)) this.connect(node);
  }

  /** PeerSender */
  send(group: number, message: Message): void {
    this.peers.get(message.to)?.link.send(group, message);
  }

  /** PeerSender */
  quiesce(to: number, group: number, term: number, index: number): void {
    this.peers.get(to)?.link.quiesce(group, term, index);
  }

  /** Has another node answer a call; it leaves with the next frame. Deadline on the host's clock. */
  pass(
    node: number,
    call: { readonly method: string; readonly request: Uint8Array; readonly hops: number },
    timeoutMs: number,
    deadlineMs: number,
  ): Promise<PassedAnswer> {
    const link = this.peers.get(node)?.link;
    const { method, request, hops } = call;
    return this.passed.ask(
      node,
      deadlineMs,
      (id) => link?.pass({ id, method, request, hops, timeoutMs }) ?? false,
    );
  }

  /** Sends the answer to a call; dropped if the way is broken, as the caller will notice. */
  answer(node: number, answer: PassedAnswer): void {
    this.peers.get(node)?.link.answer(answer);
  }

  /** An answer came. */
  answered(from: number, answer: PassedAnswer): void {
    this.passed.answered(from, answer);
  }

  /** Whether frames go both ways; true for this node itself. */
  isAlive(node: number): boolean {
    return node === this.own.nodeId || (this.peers.get(node)?.alive ?? false);
  }

  /** Ticks since the node came to live; 0 while it does not. */
  aliveTicks(node: number): number {
    return this.peers.get(node)?.aliveTicks ?? 0;
  }

  isDraining(node: number): boolean {
    return node === this.own.nodeId ? this.draining : (this.peers.get(node)?.draining ?? false);
  }

  /** Other nodes that live. */
  living(): number[] {
    return [...this.peers].filter(([, { alive }]) => alive).map(([node]) => node);
  }

  /** Frames of a node begin to come, or come no more. */
  inbound(node: number, isOpen: boolean): void {
    const peer = this.peers.get(node);
    if (!peer) return;
    peer.inbound = isOpen;
    // Answers come that way.
    if (!isOpen) this.passed.lost(node);
    this.judge(node, peer);
  }

  /** A frame of a node came. */
  heard(node: number, draining: boolean | undefined): void {
    const peer = this.peers.get(node);
    if (!peer) return;
    peer.silentTicks = 0;
    if (draining !== undefined) peer.draining = draining;
    if (!peer.alive) this.judge(node, peer);
  }

  tick(nowMs: number): void {
    this.passed.expire(nowMs);
    for (const [node, peer] of this.peers) {
      peer.link.beatAfter(this.options.heartbeatTicks, this.draining);
      if (peer.alive) peer.aliveTicks++;
      if (++peer.silentTicks === this.options.silentTicks) {
        // Also told of a node that never came up: nobody should count on it.
        peer.alive = false;
        peer.aliveTicks = 0;
        this.events.down(node, 'silent');
      }
    }
  }

  async call(
    node: number,
    path: string,
    request: Uint8Array,
    options: PeerCallOptions,
  ): Promise<Buffer> {
    const { client } = this.linkTo(node);
    try {
      return await client.unary(path, request, this.callOptions(node, options));
    } catch (error) {
      this.noteRefusal(node, error);
      throw error;
    }
  }

  async *stream(
    node: number,
    path: string,
    request: Uint8Array,
    options: PeerCallOptions,
  ): AsyncGenerator<Buffer, void, undefined> {
    const { client } = this.linkTo(node);
    yield* client.serverStream(path, request, this.callOptions(node, options));
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.closed = true;
    for (const { link } of this.peers.values()) this.closing.push(link.close());
    this.peers.clear();
    await Promise.all(this.closing);
  }

  private connect(node: number): void {
    const address = this.directory.find(node)?.address;
    if (address === undefined || address === '') return;
    const { tls, queueBytesMax, random, defer } = this.options;
    const link = this.options.transport.connect(
      { node, address, tls, queueBytesMax: queueBytesMax || SEND_QUEUE_BYTES_MAX, random, defer },
      this.own,
      this.directory,
      {
        opened: () => this.changed(node),
        closed: () => {
          this.passed.lost(node);
          this.changed(node);
        },
        refused: (_, refusal, by) => this.events.refused(node, refusal, by),
        dropped: (_, group) => this.events.dropped(node, group),
      },
      this.counters,
    );
    const inbound = this.events.hasInbound(node);
    const state = { link, inbound, alive: false, silentTicks: 0, aliveTicks: 0 };
    this.peers.set(node, { ...state, draining: false });
  }

  private changed(node: number): void {
    const peer = this.peers.get(node);
    if (peer) this.judge(node, peer);
  }

  private judge(node: number, peer: PeerState): void {
    const { link, inbound } = peer;
    if (!peer.alive && link.isOpen && inbound) {
      peer.alive = true;
      peer.silentTicks = 0;
      this.events.up(node);
    } else if (peer.alive && !link.isOpen && !inbound) {
      peer.alive = false;
      peer.aliveTicks = 0;
      peer.draining = false;
      this.events.down(node, 'closed');
    }
  }

  private linkTo(node: number): PeerWay {
    const peer = this.peers.get(node);
    if (peer?.link.isOpen) return peer.link;
    throw notConnected(node);
  }

  private callOptions(node: number, options: PeerCallOptions) {
    const { deadlineMs, signal } = options;
    const metadata = helloMetadata(this.own, node);
    const isBounded = Number.isFinite(deadlineMs);
    return { metadata, ...(isBounded && { deadlineMs }), ...(signal && { signal }) };
  }

  private noteRefusal(node: number, error: unknown): void {
    const refusal = refusalOf(error);
    if (refusal) this.events.refused(node, refusal, 'them');
  }
}

function notConnected(node: number): GrpcStatusError {
  const text = `node ${node} cannot be reached`;
  return new GrpcStatusError(status.UNAVAILABLE, text, { [NOT_EXECUTED]: '1' });
}
