/**
 * Three hosts under chance: messages are lost and late, the network splits, syncs are slow or fail,
 * the power goes and takes what was not synced, state machines come back with less than they had.
 * The seed is printed; `RAFT_SIM_SEED` runs that one again.
 */
import { describe, expect, it } from 'vitest';
import type { Message, NodeId } from '../../src/core/index.js';
import { HostError, type CommittedEntry } from '../../src/host/index.js';
import { HostNode, Network, TextMachine, text } from '../support/hosts.js';
import { SimRandom } from '../../src/testing/sim-random.js';

const PEERS: readonly NodeId[] = [1, 2, 3];
const GROUPS = [1, 2];
const STEPS = 800;
const CALM_TICKS = 60;
const DEADLINE_MS = 1_500;
const FIRST_DRAW_MAX = 2 ** 31 - 2;
const OPTIONS = { applyBytesMax: 64, readRetryTicks: 3 };

/** Remembers what it applied, so that a restart can begin with any part of it. */
class RegisterMachine extends TextMachine {
  readonly history: CommittedEntry[] = [];

  constructor(private readonly checker: RegisterChecker) {
    super();
  }

  override apply(entries: readonly CommittedEntry[]): readonly string[] {
    this.history.push(...entries);
    for (const { index, data } of entries) this.checker.applied(index, textOf(data));
    return super.apply(entries);
  }
}

/**
 * One register, written through the log: what is acknowledged is in the log for good, and whoever
 * begins after an operation ended sees at least as much of the log as that operation did.
 */
class RegisterChecker {
  private readonly entries = new Map<number, string>();
  private readonly acknowledged = new Map<number, string>();
  /** The furthest index that an operation which has ended stands for. */
  seenIndex = 0;
  reads = 0;

  get writes(): number {
    return this.acknowledged.size;
  }

  applied(index: number, content: string): void {
    const known = this.entries.get(index);
    if (known !== undefined && known !== content) {
      throw new Error(`entry ${index} is '${content}' here and '${known}' elsewhere`);
    }
    this.entries.set(index, content);
  }

  wrote(before: number, index: number, content: string): void {
    if (index <= before) throw new Error(`write ${index} began after ${before} had been seen`);
    if (this.acknowledged.has(index)) throw new Error(`entry ${index} acknowledged twice`);
    this.acknowledged.set(index, content);
    this.seenIndex = Math.max(this.seenIndex, index);
  }

  read(before: number, index: number): void {
    if (index < before) throw new Error(`stale read: ${index}, but ${before} had been seen`);
    this.reads++;
    this.seenIndex = Math.max(this.seenIndex, index);
  }

  checkAtRest(machine: RegisterMachine): void {
    const held = new Map(machine.history.map(({ index, data }) => [index, textOf(data)]));
    for (const [index, content] of this.acknowledged) {
      if (held.get(index) !== content) throw new Error(`'${content}' (${index}) is lost`);
    }
  }
}

class UnreliableNetwork extends Network {
  calm = false;
  private far = new Set<NodeId>();

  constructor(private readonly random: SimRandom) {
    super();
  }

  split(): void {
    this.far = new Set(PEERS.filter(() => this.random.chance(0.4)));
  }

  join(): void {
    this.far.clear();
  }

  override send(group: number, message: Message): void {
    if (this.calm) return super.send(group, message);
    if (this.far.has(message.from) !== this.far.has(message.to)) return;
    if (this.random.chance(0.05)) return;
    const copies = this.random.chance(0.03) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const turns = this.random.chance(0.1) ? this.random.below(12) : 0;
      void pause(turns).then(() => super.send(group, message));
    }
  }
}

function textOf(data: Uint8Array): string {
  return Buffer.from(data).toString();
}

async function pause(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
}

class Simulation {
  readonly checkers = new Map(GROUPS.map((id) => [id, new RegisterChecker()]));
  private readonly network: UnreliableNetwork;
  private readonly nodes = new Map<NodeId, HostNode>();
  private readonly running = new Set<Promise<void>>();
  private failure: Error | undefined;
  private writes = 0;
  restarts = 0;

  constructor(private readonly random: SimRandom) {
    this.network = new UnreliableNetwork(random);
  }

  async run(): Promise<void> {
    for (const id of PEERS) await this.open(id);
    for (let step = 0; step < STEPS; step++) {
      this.ask();
      if (this.random.chance(0.02)) await this.trouble();
      for (const [id, { fatal }] of this.nodes) if (fatal.length > 0) await this.restart(id);
      if (step % 3 === 0) this.tick();
      await pause(1 + this.random.below(3));
      if (this.failure !== undefined) throw this.failure;
    }
    await this.comeToRest();
  }

  private tick(): void {
    this.network.nowMs += 50;
    for (const { host } of this.nodes.values()) host.tick();
  }

  private ask(): void {
    const node = this.nodes.get(this.pickPeer());
    const groupId = this.random.chance(0.5) ? 1 : 2;
    const isWrite = this.random.chance(0.5);
    if (!node) return;
    const work = isWrite ? this.write(node, groupId) : this.read(node, groupId);
    const running = work.catch((error: unknown) => {
      // Refused, timed out or aborted: whatever became of it, nothing was promised.
      if (error instanceof HostError) return;
      this.failure ??= error instanceof Error ? error : new Error(String(error));
    });
    this.running.add(running);
    void running.then(() => this.running.delete(running));
  }

  private async write(node: HostNode, groupId: number): Promise<void> {
    const { group, checker } = this.parts(node, groupId);
    const content = `w${++this.writes}`;
    const before = checker.seenIndex;
    const { index, result } = await group.propose(text(content), this.deadlineMs());
    if (result !== content) throw new Error(`'${content}' got the result of '${result}'`);
    checker.wrote(before, index, content);
  }

  private async read(node: HostNode, groupId: number): Promise<void> {
    const { group, checker, machine } = this.parts(node, groupId);
    const before = checker.seenIndex;
    await group.readBarrier(this.deadlineMs());
    checker.read(before, machine.appliedIndex);
  }

  private async trouble(): Promise<void> {
    const kind = this.random.below(5);
    if (kind === 0) await this.restart(this.pickPeer());
    else if (kind === 1) for (const id of PEERS) await this.restart(id);
    else if (kind === 2) this.network.split();
    else if (kind === 3) this.network.join();
    else this.breakDisk(this.pickPeer());
  }

  private breakDisk(id: NodeId): void {
    const node = this.nodes.get(id);
    if (!node) return;
    node.files.onOperation = (operation) => {
      if (operation === 'sync') throw new Error('EIO: planned');
    };
  }

  /** Power goes and comes back: the log keeps what was synced, the state any part of what it had. */
  private async restart(id: NodeId): Promise<void> {
    const node = this.nodes.get(id);
    if (!node) return;
    this.restarts++;
    this.network.nodes.delete(id);
    const left = node.files.crash((below) => this.random.below(below));
    node.host.close();
    await this.open(id, node, left);
  }

  private async open(id: NodeId, before?: HostNode, files?: HostNode['files']): Promise<void> {
    // Every life draws other numbers: a late answer to a read of the life before is none of this one's.
    const firstDraw = 1 + this.random.below(FIRST_DRAW_MAX);
    const node = await HostNode.open(this.network, id, OPTIONS, files, firstDraw);
    const turnsMax = this.random.chance(0.5) ? 2 : 20;
    node.files.syncGate = () => pause(this.random.below(turnsMax));
    for (const groupId of GROUPS) {
      const machine = new RegisterMachine(this.checker(groupId));
      const old = before?.machines.get(groupId);
      if (old instanceof RegisterMachine) {
        machine.apply(old.history.slice(0, this.random.below(old.history.length + 1)));
      }
      node.start(groupId, PEERS, machine);
    }
    this.nodes.set(id, node);
  }

  private async comeToRest(): Promise<void> {
    this.network.calm = true;
    for (const id of PEERS) await this.restart(id);
    for (let tick = 0; tick < CALM_TICKS; tick++) {
      this.tick();
      await pause(12);
    }
    const last = Promise.all(
      [...this.nodes.values()].flatMap((node) => GROUPS.map((id) => this.read(node, id))),
    );
    for (let tick = 0; tick < 10; tick++) {
      this.tick();
      await pause(12);
    }
    await last;
    await Promise.all(this.running);
    if (this.failure !== undefined) throw this.failure;
    for (const node of this.nodes.values()) {
      for (const id of GROUPS) this.checker(id).checkAtRest(this.parts(node, id).machine);
    }
  }

  private parts(node: HostNode, groupId: number) {
    const group = node.groups.get(groupId);
    const machine = node.machines.get(groupId);
    if (!group || !(machine instanceof RegisterMachine)) throw new Error('no such group');
    return { group, machine, checker: this.checker(groupId) };
  }

  private checker(groupId: number): RegisterChecker {
    const checker = this.checkers.get(groupId);
    if (!checker) throw new Error('no such group');
    return checker;
  }

  private deadlineMs(): number {
    return this.network.nowMs + DEADLINE_MS;
  }

  private pickPeer(): NodeId {
    return 1 + this.random.below(PEERS.length);
  }
}

const chosen = process.env['RAFT_SIM_SEED'];
const firstSeed = chosen === undefined ? Date.now() % 1_000_000 : Number(chosen);
const RUNS = chosen === undefined ? 8 : 1;

describe('three hosts under chance', () => {
  it('what was acknowledged survives, and reads of a register are linearizable', async () => {
    console.info(`simulation of hosts: seeds ${firstSeed} to ${firstSeed + RUNS - 1}`);
    const sums = { writes: 0, reads: 0, restarts: 0 };
    for (let seed = firstSeed; seed < firstSeed + RUNS; seed++) {
      const simulation = new Simulation(new SimRandom(seed));
      try {
        await simulation.run();
      } catch (cause) {
        throw new Error(`simulation with RAFT_SIM_SEED=${seed} failed: ${String(cause)}`, {
          cause,
        });
      }
      for (const checker of simulation.checkers.values()) {
        sums.writes += checker.writes;
        sums.reads += checker.reads;
      }
      sums.restarts += simulation.restarts;
    }
    console.info(`writes ${sums.writes}, reads ${sums.reads}, restarts ${sums.restarts}`);
    // A simulation in which nothing happens proves nothing.
    expect(sums.writes).toBeGreaterThan(RUNS * 20);
    expect(sums.reads).toBeGreaterThan(RUNS * 20);
    expect(sums.restarts).toBeGreaterThan(RUNS * 3);
  });
});
