/**
 * What goes wrong, one thing after another: drawn by the seed, from the faults of the profile.
 *
 * Whatever is broken is mended a while later, or when calm begins. No fault takes more than the
 * system promises to survive: data is wiped off one node at a time, and only while all others are
 * members with everything they should have.
 */
import { CATALOG_GROUP, type NodeCore } from '@flotilla/kv-node/simulation';
import { type Fault } from './profile.js';
import { type SimNode } from './sim-node.js';
import { type Simulation } from './simulation.js';

const DOWN_MAX_MS = 8_000;
const PAUSE_MAX_MS = 8_000;
const CUT_MAX_MS = 15_000;
const SLOW_MAX_MS = 400;
const WIPED_MAX_MS = 10_000;
const QUIET_MAX_MS = 10_000;
const NODES_MAX = 6;
const ASK_TIMEOUT_MS = 20_000;
/** Copies that survive the loss of one. */
const COPIES_MIN = 3;
const OTHER_TABLES_MAX = 3;
/** A majority of so many is left when one is lost. */
const REPLICAS_LEAST = 3;

export class Faults {
  count = 0;
  private active = false;
  private tablesMade = 0;
  private addresses = 0;
  /** A change of the members is under way. */
  private isChanging = false;

  constructor(private readonly sim: Simulation) {}

  begin(): void {
    this.active = true;
    this.next();
  }

  /** Everything that can heal heals; what is down starts. */
  end(): void {
    this.active = false;
    const { network } = this.sim;
    network.calmDown();
    for (const node of this.sim.members()) {
      node.disk.failing = undefined;
      node.resume();
      node.start();
    }
  }

  /** A node that ended is started again after a while, at the latest when calm begins. */
  startLater(node: SimNode): void {
    const { random, world } = this.sim;
    world.at(50 + random.next() * DOWN_MAX_MS, () => {
      node.disk.failing = undefined;
      node.start();
    });
  }

  /** Asks nodes until one answers, or it takes too long. */
  async askAnyNode<T>(ask: (core: NodeCore) => Promise<T>): Promise<T | undefined> {
    const { random, world } = this.sim;
    const up = this.sim.up();
    const node = up[random.below(up.length)];
    if (!node) return undefined;
    return new Promise((resolve) => {
      world.at(ASK_TIMEOUT_MS, () => resolve(undefined));
      const nothing = () => resolve(undefined);
      if (!node.enter((core) => void ask(core).then(resolve, nothing))) nothing();
    });
  }

  private next(): void {
    const { random, world, profile } = this.sim;
    const waitMs = -Math.log(1 - random.next()) * profile.faultEveryMs;
    world.at(waitMs, () => {
      if (!this.active) return;
      const fault = profile.faults[random.below(profile.faults.length)];
      if (fault) this.make(fault);
      this.next();
    });
  }

  private make(fault: Fault): void {
    const { sim } = this;
    const { random, network } = sim;
    const node = this.anyNode();
    if (!node) return;
    this.count++;
    sim.note(`fault: ${fault} (node ${node.id})`);
    const others = sim.members().filter((each) => each !== node);
    switch (fault) {
      case 'kill':
        return this.down(node, 'killed');
      case 'power':
        return this.down(node, 'power');
      case 'power-all':
        for (const each of sim.members()) this.down(each, 'power');
        return;
      case 'pause':
        return node.pause(random.next() * PAUSE_MAX_MS);
      case 'isolate':
        for (const other of others) this.cut(node, other, 'both');
        return;
      case 'split':
        return this.split();
      case 'one-way':
        for (const other of others) if (random.chance(0.6)) this.cut(node, other, 'one');
        return;
      case 'ring':
        return this.ring();
      case 'slow':
        return network.slow(node.id, random.next() * SLOW_MAX_MS);
      case 'reset':
        return network.resetSome();
      case 'heal':
        return network.heal();
      case 'quiet':
        sim.quietUntilMs = sim.world.nowMs + random.next() * QUIET_MAX_MS;
        return;
      case 'disk-error':
        node.disk.failing = random.chance(0.5) ? 'sync' : 'write';
        return;
      case 'stop':
        return this.stop(node);
      case 'rolling':
        sim.members().forEach((each, at) => sim.world.at(at * 4_000, () => this.stop(each)));
        return;
      default:
        void this.change(fault, node);
    }
  }

  private anyNode(): SimNode | undefined {
    const nodes = this.sim.members();
    return nodes[this.sim.random.below(nodes.length)];
  }

  private down(node: SimNode, how: 'killed' | 'power'): void {
    node.end(how);
    this.startLater(node);
  }

  private stop(node: SimNode): void {
    if (!this.active) return;
    node.stop();
    // However far it came: what does not end by itself is killed, as a supervisor does.
    this.sim.world.at(15_000, () => node.start());
  }

  private cut(a: SimNode, b: SimNode, directions: 'one' | 'both'): void {
    const { network, world, random } = this.sim;
    network.cut(a.id, b.id);
    if (directions === 'both') network.cut(b.id, a.id);
    world.at(random.next() * CUT_MAX_MS, () => network.mend(a.id, b.id));
  }

  private split(): void {
    const { random } = this.sim;
    const nodes = this.sim.members();
    const far = nodes.filter(() => random.chance(0.4));
    for (const a of far) for (const b of nodes) if (!far.includes(b)) this.cut(a, b, 'both');
  }

  /** Everybody hears two neighbours only. */
  private ring(): void {
    const nodes = this.sim.members();
    for (const [at, a] of nodes.entries()) {
      for (const [other, b] of nodes.entries()) {
        const distance = Math.abs(at - other);
        if (distance > 1 && distance < nodes.length - 1) this.cut(a, b, 'both');
      }
    }
  }

  private async change(fault: Fault, node: SimNode): Promise<void> {
    if (fault === 'transfer') return this.transfer(node);
    if (fault === 'create-table') return this.createTable();
    if (fault === 'delete-table') return this.deleteTable();
    if (this.isChanging || !this.mayChange()) return;
    this.isChanging = true;
    try {
      if (fault === 'add') await this.add(0);
      else if (fault === 'replace') await this.replace(node, false);
      else if (fault === 'wipe') await this.replace(node, true);
      else if (fault === 'drain') await this.drain(node);
      else if (fault === 'remove') await this.remove(node);
    } finally {
      this.isChanging = false;
    }
  }

  /** Every node is a member with all that it should hold, as far as anybody knows. */
  private mayChange(): boolean {
    const { sim } = this;
    // Only a catalog that has everything tells whether a change may begin.
    const committed = sim.judge.table(CATALOG_GROUP).appliedIndex;
    const catalogs = sim.up().map(({ core }) => core?.cluster.catalog);
    const catalog = catalogs.find((each) => each?.appliedIndex === committed);
    if (!catalog) return false;
    const { state, group } = catalog;
    const known = [...state.nodes.values()].filter((each) => each.state !== 'removed');
    if (known.some((each) => each.state === 'joining' || each.state === 'leaving')) return false;
    const members = new Set(sim.members().map(({ id }) => id));
    if (known.length !== members.size || known.some(({ id }) => !members.has(id))) return false;
    const { voters, learners, votersOutgoing } = group.confState();
    if (learners.length + votersOutgoing.length > 0) return false;
    if (voters.some((id) => !members.has(id))) return false;
    return [...state.tables.values()].every(
      ({ replicas, movingFrom }) =>
        movingFrom.length === 0 &&
        // What lies on fewer nodes does not survive the loss of a disk.
        replicas.length >= REPLICAS_LEAST &&
        replicas.every((id) => members.has(id)),
    );
  }

  private async add(replaces: number): Promise<void> {
    const { sim } = this;
    if (replaces === 0 && sim.members().length >= NODES_MAX) return;
    const at = ++this.addresses;
    const raftAddress = `10.0.1.${at}:5012`;
    const wanted = { id: 0, name: `n${at}`, raftAddress, replaces };
    const id = await this.askAnyNode((core) => core.cluster.changes.addNode(wanted));
    // Whether it was added is not known without an id: `finishChanges` looks later.
    if (id !== undefined) this.startAnnounced(id, raftAddress);
  }

  private startAnnounced(id: number, address: string): void {
    const { sim } = this;
    if (sim.nodes.has(id)) return;
    const known = sim.members().map(({ settings }) => `${settings.id}=${settings.address}`);
    sim.addNode(id, address, true, [...known, `${id}=${address}`].join(',')).start();
    sim.note(`node ${id} joins`);
  }

  /** What an operator does who finds a change half done: nodes that were announced are started. */
  async finishChanges(): Promise<void> {
    const { sim } = this;
    const rows = [...(sim.up()[0]?.core?.cluster.catalog.state.nodes.values() ?? [])];
    for (const { id, raftAddress, state } of rows) {
      if (state === 'joining') this.startAnnounced(id, raftAddress);
    }
    if (this.isChanging) return;
    for (const { id, state } of rows) {
      const isLost =
        sim.nodes.get(id)?.state === 'out' && state !== 'removed' && state !== 'leaving';
      const isReplaced = rows.some(({ replaces }) => replaces === id);
      if (isLost && !isReplaced) await this.add(id);
    }
  }

  /** `startsAgain`: first it is started under its old id, as if nothing had happened. */
  private async replace(node: SimNode, startsAgain: boolean): Promise<void> {
    const { sim } = this;
    if (sim.members().length < 3 || sim.up().length < sim.members().length) return;
    // While a node is drained, a table of three nodes has two copies: none of them may be lost.
    const tables = [...(sim.up()[0]?.core?.cluster.catalog.state.tables.values() ?? [])];
    if (tables.some(({ replicas }) => replicas.length < COPIES_MIN)) return;
    sim.note(`node ${node.id} loses its disk`);
    sim.leaving.add(node.id);
    node.end('power');
    if (startsAgain) {
      node.disk.wipe();
      node.start();
      await sim.sleep(sim.random.next() * WIPED_MAX_MS);
    }
    node.retire();
    for (let attempt = 0; attempt < 20; attempt++) {
      const before = sim.nodes.size;
      await this.add(node.id);
      if (sim.nodes.size > before) return;
      await sim.sleep(1_000);
    }
  }

  private async drain(node: SimNode): Promise<void> {
    await this.askAnyNode((core) => core.cluster.changes.drainNode(node.id, false));
    await this.sim.sleep(this.sim.random.next() * 10_000);
    await this.askAnyNode((core) => core.cluster.changes.drainNode(node.id, true));
  }

  private async remove(node: SimNode): Promise<void> {
    const { sim } = this;
    if (sim.members().length <= 3) return;
    sim.leaving.add(node.id);
    await this.askAnyNode((core) => core.cluster.changes.removeNode(node.id));
  }

  private async transfer(node: SimNode): Promise<void> {
    const { random, stableTables } = this.sim;
    const table = stableTables[random.below(stableTables.length)] ?? '';
    await this.askAnyNode((core) => core.cluster.changes.transferLeader(table, node.id));
  }

  private async createTable(): Promise<void> {
    const { otherTables } = this.sim;
    if (otherTables.size >= OTHER_TABLES_MAX) return;
    const name = `x${++this.tablesMade % 5}`;
    otherTables.add(name);
    await this.askAnyNode((core) => core.cluster.admin.create(name));
  }

  private async deleteTable(): Promise<void> {
    const { otherTables } = this.sim;
    const [name] = otherTables;
    if (name === undefined) return;
    let known: number | undefined;
    const outcome = await this.askAnyNode((core) => {
      known = core.cluster.catalog.state.tables.get(name)?.id;
      return core.cluster.admin.delete(name);
    });
    // Ids only grow: whatever of this name a node knew before is gone with what was deleted.
    if (outcome?.kind === 'deleted' && known !== undefined) {
      this.sim.judge.table(known).isDeleted = true;
    }
    if (outcome?.kind === 'deleted' || outcome?.kind === 'missing') otherTables.delete(name);
  }
}
