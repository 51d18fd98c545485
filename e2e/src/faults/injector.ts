/**
 * Makes planned faults happen to real nodes, and ends them.
 *
 * In: an episode. Out: the same, done: once `run` settles, all nodes run and all links are well. Faults
 * of an episode overlap; a node that one of them has taken down is left alone by the others, and there is
 * one partition at a time. What a fault cannot do says the log; what no fault may cause (a node that does
 * not start, or does not stop cleanly) is thrown.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { waitUntil } from '../harness/cluster.js';
import { type FaultCluster } from './fault-cluster.js';
import { blockedPairs, describeFault, SLOTS, type Episode, type Fault } from './schedule.js';

const REPLACE_MS = 90_000;
type Of<K extends Fault['kind']> = Extract<Fault, { kind: K }>;

export class Injector {
  /** Nodes that a fault has taken down or paused now. */
  private readonly taken = new Set<number>();
  private isParted = false;
  readonly counts = new Map<string, number>();

  constructor(
    private readonly nodes: FaultCluster,
    private readonly tables: readonly string[],
    private readonly log: (line: string) => void,
    private readonly onMembers: () => void,
  ) {}

  /** Throws what went wrong first; everything is healed nevertheless. */
  async run({ faults }: Episode): Promise<void> {
    const beganMs = performance.now();
    const ends = await Promise.allSettled(
      faults.map(async (fault) => {
        await sleep(Math.max(0, fault.atMs - (performance.now() - beganMs)));
        await this.inject(fault);
      }),
    );
    this.nodes.links.healAll();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  private async inject(fault: Fault): Promise<void> {
    const leader = needsLeader(fault) ? await this.leader(fault) : undefined;
    const done = await this.perform(fault, leader ?? this.nodes.idAt(fault.slot));
    if (done) this.counts.set(fault.kind, (this.counts.get(fault.kind) ?? 0) + 1);
    else this.log(`skipped: ${describeFault(fault)}`);
  }

  /** False if there was nobody to do it to. */
  private perform(fault: Fault, node: number): Promise<boolean> {
    switch (fault.kind) {
      case 'kill':
        return this.kill(fault, node);
      case 'pause':
        return this.pause(fault, node);
      case 'partition':
        return this.part(fault, node);
      case 'slow':
        return this.slow(fault, node);
      case 'rolling-restart':
        return this.restartAll(fault);
      case 'replace':
        return this.replace(fault, node);
      case 'transfer':
        return this.transfer(fault, node);
    }
  }

  private async kill(fault: Of<'kill'>, node: number): Promise<boolean> {
    const { slots } = this.nodes;
    const wanted = { one: [node], leader: [node], all: [...slots], majority: this.othersOf(node) };
    const victims = this.take(wanted[fault.victims]);
    if (victims.length === 0) return false;
    this.say(fault, victims);
    const all = (each: (id: number) => Promise<void>) => Promise.all(victims.map(each));
    try {
      await all((id) => this.nodes.cluster.node(id).kill());
      await sleep(fault.downMs);
      if (fault.againAfterMs !== undefined) {
        for (const id of victims) this.nodes.cluster.node(id).launch();
        await sleep(fault.againAfterMs);
        await all((id) => this.nodes.cluster.node(id).kill());
      }
      await all((id) => this.nodes.cluster.node(id).start());
    } finally {
      this.release(victims);
    }
    return true;
  }

  private async pause(fault: Of<'pause'>, node: number): Promise<boolean> {
    const victims = this.take([node]);
    if (victims.length === 0) return false;
    this.say(fault, victims);
    this.nodes.cluster.node(node).signal('SIGSTOP');
    await sleep(fault.forMs);
    this.nodes.cluster.node(node).signal('SIGCONT');
    this.release(victims);
    return true;
  }

  private async part(fault: Of<'partition'>, node: number): Promise<boolean> {
    if (this.isParted) return false;
    this.isParted = true;
    this.say(fault, [node]);
    const { links, slots } = this.nodes;
    const pairs = blockedPairs(fault.shape, node, slots);
    for (const [from, to] of pairs) {
      if (fault.cut === 'reset') links.cut(from, to);
      else links.hold(from, to);
    }
    await sleep(fault.forMs);
    for (const [from, to] of pairs) links.heal(from, to, fault.heal);
    this.isParted = false;
    return true;
  }

  private async slow(fault: Of<'slow'>, node: number): Promise<boolean> {
    this.say(fault, [node]);
    const { links } = this.nodes;
    const set = (delayMs: number) => {
      for (const other of this.othersOf(node)) {
        links.slow(node, other, delayMs);
        links.slow(other, node, delayMs);
      }
    };
    set(fault.delayMs);
    await sleep(fault.forMs);
    set(0);
    return true;
  }

  private async restartAll(fault: Of<'rolling-restart'>): Promise<boolean> {
    this.say(fault, this.nodes.slots);
    let restarted = 0;
    for (let slot = 0; slot < SLOTS; slot++) {
      const victims = this.take([this.nodes.idAt(slot)]);
      for (const id of victims) {
        try {
          await this.nodes.cluster.node(id).stop();
          await this.nodes.cluster.node(id).start();
          restarted++;
        } finally {
          this.release(victims);
        }
      }
      await sleep(fault.calmMs);
    }
    return restarted > 0;
  }

  /** The disk of a node is gone; a new node with a new id takes its place. */
  private async replace(fault: Of<'replace'>, node: number): Promise<boolean> {
    const { cluster } = this.nodes;
    const through = this.othersOf(node).find((id) => !this.taken.has(id));
    const victims = through === undefined ? [] : this.take([node]);
    if (through === undefined || victims.length === 0) return false;
    this.say(fault, victims);
    try {
      const fresh = await this.announce(through, node);
      if (fresh === undefined) return false;
      await cluster.node(node).kill();
      cluster.wipe(node);
      await cluster.node(fresh).start();
      await waitUntil(
        `node ${fresh} has taken the place of node ${node}`,
        async () => {
          const listed = await cluster.listNodes(fresh);
          return listed.find(({ id }) => Number(id) === node)?.state === 'removed';
        },
        REPLACE_MS,
      );
      await this.nodes.replaced(node, fresh);
      this.log(`node ${fresh} has taken the place of node ${node}`);
    } finally {
      this.release(victims);
    }
    this.onMembers();
    return true;
  }

  /** The new node's id; undefined if another fault came in between, and nothing is known then. */
  private async announce(through: number, replaces: number): Promise<number | undefined> {
    try {
      return await this.nodes.cluster.announceNode(through, { replaces });
    } catch (error) {
      this.log(`not announced: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  }

  private async transfer(fault: Of<'transfer'>, node: number): Promise<boolean> {
    const [table, to] = [this.tableOf(fault), this.nodes.idAt(fault.to)];
    this.say(fault, [to]);
    try {
      await this.nodes.cluster.transferLeader(node, table, to);
    } catch (error) {
      // It may be down, cut off or behind: leadership stays where it is, and that is an answer.
      this.log(`not transferred: ${error instanceof Error ? error.message : String(error)}`);
    }
    return true;
  }

  private async leader(fault: Fault): Promise<number | undefined> {
    return this.nodes.leaderOf(this.tableOf(fault));
  }

  private tableOf({ table }: Fault): string {
    const name = this.tables[table % this.tables.length];
    if (name === undefined) throw new RangeError('there are no tables');
    return name;
  }

  private othersOf(node: number): number[] {
    return this.nodes.slots.filter((id) => id !== node);
  }

  /** Those that no other fault has, which this one has from now on. */
  private take(wanted: readonly number[]): number[] {
    const free = wanted.filter((id) => !this.taken.has(id));
    for (const id of free) this.taken.add(id);
    return free;
  }

  private release(ids: readonly number[]): void {
    for (const id of ids) this.taken.delete(id);
  }

  private say(fault: Fault, nodes: readonly number[]): void {
    this.log(`${describeFault(fault)} [node ${nodes.join(', ')}]`);
  }
}

function needsLeader(fault: Fault): boolean {
  if (fault.kind === 'kill' || fault.kind === 'pause') return fault.victims === 'leader';
  return (fault.kind === 'partition' || fault.kind === 'slow') && fault.ofLeader;
}
