/**
 * The ways between nodes: how long they take, what they lose, and which of them are cut.
 *
 * In: something to carry from one node to another. Out: it arrives after a while, or never. A way is
 * cut in one direction or in both; what is on it when it is cut still arrives or not as chance has it.
 */
import { type SimRandom, type SimWorld } from '@flotilla/raft/testing';
import { type SimListener } from './transport/sim-listener.js';

export interface NetworkProfile {
  readonly latencyMinMs: number;
  readonly latencyMaxMs: number;
  /** Of single messages of the protocol. */
  readonly loss: number;
  readonly duplication: number;
  /** Of messages that arrive much later than those after them. */
  readonly reordering: number;
  readonly reorderingMaxMs: number;
}

/** Both ends notice at once. */
export interface Breakable {
  break(): void;
}

const CALM: NetworkProfile = {
  latencyMinMs: 0.1,
  latencyMaxMs: 1,
  loss: 0,
  duplication: 0,
  reordering: 0,
  reorderingMaxMs: 0,
};

export class SimNetwork {
  private readonly listeners = new Map<string, SimListener>();
  /** `from>to`, since when. */
  private readonly cuts = new Map<string, number>();
  private readonly slowBy = new Map<number, number>();
  private readonly connections = new Set<Breakable>();
  private profile = CALM;

  constructor(
    private readonly world: SimWorld,
    private readonly random: SimRandom,
  ) {}

  /** From now on it behaves like this. */
  use(profile: NetworkProfile): void {
    this.profile = profile;
  }

  listen(address: string, listener: SimListener): void {
    this.listeners.set(address, listener);
  }

  unlisten(address: string, listener: SimListener): void {
    if (this.listeners.get(address) === listener) this.listeners.delete(address);
  }

  at(address: string): SimListener | undefined {
    return this.listeners.get(address);
  }

  cut(from: number, to: number): void {
    if (from !== to && this.cutSinceMs(from, to) === undefined) {
      this.cuts.set(`${from}>${to}`, this.world.nowMs);
    }
  }

  /** Everything a node sends and gets takes longer. */
  slow(node: number, byMs: number): void {
    this.slowBy.set(node, byMs);
  }

  /** A way that was cut carries again, in both directions. */
  mend(a: number, b: number): void {
    this.cuts.delete(`${a}>${b}`);
    this.cuts.delete(`${b}>${a}`);
  }

  /** Connections that are known here can be reset. */
  track(connection: Breakable): void {
    this.connections.add(connection);
  }

  untrack(connection: Breakable): void {
    this.connections.delete(connection);
  }

  resetSome(): void {
    for (const connection of [...this.connections]) {
      if (this.random.chance(0.3)) connection.break();
    }
  }

  heal(): void {
    this.cuts.clear();
    this.slowBy.clear();
  }

  /** No more loss, duplicates or reordering. */
  calmDown(): void {
    this.heal();
    this.profile = CALM;
  }

  cutSinceMs(from: number, to: number): number | undefined {
    return this.cuts.get(`${from}>${to}`);
  }

  /** Has `arrive` happen once something sent now gets there; never if the way is cut. */
  carry(from: number, to: number, arrive: () => void, notBeforeMs = 0): number {
    if (this.cutSinceMs(from, to) !== undefined) return notBeforeMs;
    const atMs = Math.max(notBeforeMs, this.world.nowMs + this.latencyMs(from, to));
    this.world.at(atMs - this.world.nowMs, arrive);
    return atMs;
  }

  /** One message of the protocol: may be lost, come twice, or late. */
  carryMessage(from: number, to: number, arrive: () => void): void {
    const { random, profile } = this;
    if (random.chance(profile.loss)) return;
    for (let copies = random.chance(profile.duplication) ? 2 : 1; copies > 0; copies--) {
      const lateMs = random.chance(profile.reordering)
        ? random.next() * profile.reorderingMaxMs
        : 0;
      this.carry(from, to, arrive, this.world.nowMs + lateMs);
    }
  }

  private latencyMs(from: number, to: number): number {
    const { latencyMinMs, latencyMaxMs } = this.profile;
    const slowMs = (this.slowBy.get(from) ?? 0) + (this.slowBy.get(to) ?? 0);
    return slowMs + latencyMinMs + this.random.next() * (latencyMaxMs - latencyMinMs);
  }
}
