/**
 * One simulated connection between two nodes, seen from both ends: frames go in at the way, and come
 * out at the listener as the network lets them; an end or a break reaches both ends in its time.
 */
import { type Hello } from '@flotilla/kv-node/simulation';
import { decodeFrame, type PeerFrame } from '@flotilla/raft';
import { type SimRandom, type SimWorld } from '@flotilla/raft/testing';
import { type SimNetwork } from '../sim-network.js';
import { type SimProcess } from '../sim-process.js';
import { type SimListener } from './sim-listener.js';
import { type SimWay } from './sim-way.js';

/** A connection whose way is cut in one direction ends after this. */
const KEEPALIVE_MS = 2_000;
const KEEPALIVE_LOOK_MS = 500;

export interface TransportParts {
  readonly world: SimWorld;
  readonly random: SimRandom;
  readonly network: SimNetwork;
  readonly process: SimProcess;
}

/** One connection, seen from both ends. */
export class Connection {
  isOpen = true;
  /** Nothing overtakes what was sent before. */
  private lastArrivalMs = 0;

  constructor(
    private readonly parts: TransportParts,
    readonly way: SimWay,
    readonly listener: SimListener,
    readonly hello: Hello,
  ) {
    this.watch();
    parts.network.track(this);
  }

  /** Both ends hear of it, unless the machine of one is gone or the way there is cut. */
  end(by: 'way' | 'listener', silently: boolean): void {
    if (!this.isOpen) return;
    if (silently) return;
    this.isOpen = false;
    const { network } = this.parts;
    const [from, to] = [this.way.from, this.way.node];
    if (by === 'way') network.carry(from, to, () => this.listener.lost(this));
    else network.carry(to, from, () => this.way.lost(this));
  }

  /** Both ends notice at once. */
  break(): void {
    this.isOpen = false;
    this.parts.network.untrack(this);
    this.way.lost(this);
    this.listener.lost(this);
  }

  carryFrame(bytes: Uint8Array): void {
    const { network } = this.parts;
    const { from, node: to } = this.way;
    this.lastArrivalMs = network.carry(
      from,
      to,
      () => this.arrive(decodeFrame(bytes)),
      this.lastArrivalMs,
    );
  }

  private arrive(frame: PeerFrame): void {
    const { network } = this.parts;
    const { from, node: to } = this.way;
    const empty: PeerFrame = { ...frame, messages: [], quiesce: [], calls: [], answers: [] };
    this.listener.frame(this, { ...empty, calls: frame.calls, answers: frame.answers });
    const withoutBeat: PeerFrame = { ...empty, heartbeat: undefined };
    for (const message of frame.messages) {
      const arrive = () => this.listener.frame(this, { ...withoutBeat, messages: [message] });
      network.carryMessage(from, to, arrive);
    }
    for (const each of frame.quiesce) {
      const arrive = () => this.listener.frame(this, { ...withoutBeat, quiesce: [each] });
      network.carryMessage(from, to, arrive);
    }
  }

  /** What keepalives of a real connection notice. */
  private watch(): void {
    const { world, network } = this.parts;
    world.at(KEEPALIVE_LOOK_MS, () => {
      const { from, node: to } = this.way;
      const isHeld = this.way.holds(this) || this.listener.holds(this);
      if (!isHeld) return network.untrack(this);
      const since = Math.min(
        network.cutSinceMs(from, to) ?? Infinity,
        network.cutSinceMs(to, from) ?? Infinity,
        this.way.endedAtMs,
        this.listener.endedAtMs,
      );
      if (world.nowMs - since >= KEEPALIVE_MS) this.break();
      else this.watch();
    });
  }
}
