/**
 * Follower clusters under all faults at once, with writers, until the time is over.
 *
 *   start, rows ─▶ writers ─▶ round of faults in three lanes ─▶ writers wait, all equal? ─▶ round ... ─▶ all equal?
 *                                                    `─ every few rounds: leader cluster set back
 *
 * In: a seed and for how long. Out: a report. Every lane breaks what is its own (the leader cluster, one follower
 * cluster each) and heals it again; what one of them does never waits for another one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../../faults/random.js';
import * as leader from './leader-faults.js';
import * as site from './site-faults.js';
import { SoakClusters, type FollowerSite } from './soak-clusters.js';
import { untilEqual } from './soak-equality.js';
import { type SoakOptions } from './soak-options.js';
import { SoakWatch } from './soak-watch.js';
import { SoakWriters } from './soak-writers.js';

const TABLES = ['a', 'b', 'c', 'd'] as const;
const WRITERS = 6;
const LEADER_NODES = 3;
const SITES = [
  { nodes: 3, gateways: 2 },
  { nodes: 1, gateways: 1 },
] as const;
/** Rows that are large and stay: a whole table takes its time. */
const STILL_ROWS = 150;
const STILL_ROW_BYTES = 8_192;
const ROUND_MS = 45_000;
const CALM_MS_MAX = 2_500;
const EQUAL_MS = 180_000;
/** The leader cluster is set back to what it was that many rounds before. */
const ROUNDS_PER_RETURN = 3;

export interface SoakReport {
  readonly rounds: number;
  readonly faults: ReadonlyMap<string, number>;
  readonly writes: number;
  readonly failedWrites: number;
  readonly recoveries: number;
  readonly batchesInDoubt: number;
  readonly longestLagMs: number;
  readonly longestLagRevisions: number;
  /** From the end of the faults of a round until all clusters were equal. */
  readonly longestHealMs: number;
  readonly tables: number;
  readonly rows: number;
  readonly violations: readonly string[];
}

type Fault = readonly [name: string, deed: (random: Random) => Promise<boolean>];

export async function runSoak(
  options: SoakOptions & { readonly print: (line: string) => void; readonly signal: AbortSignal },
): Promise<SoakReport> {
  const clusters = await SoakClusters.start(LEADER_NODES, SITES);
  const soak = new Soak(clusters, options);
  try {
    return await Promise.race([soak.run(), aborted(options.signal)]);
  } finally {
    await soak.close();
    await clusters.dispose();
  }
}

class Soak {
  private readonly random: Random;
  private readonly writers: SoakWriters;
  private readonly watch: SoakWatch;
  private readonly faults = new Map<string, number>();
  private readonly violations: string[] = [];
  private readonly beganMs = performance.now();
  private rounds = 0;
  private older: leader.OlderState | undefined;
  private longestHealMs = 0;
  private last = { tables: 0, rows: 0 };

  constructor(
    private readonly clusters: SoakClusters,
    private readonly options: Parameters<typeof runSoak>[0],
  ) {
    this.random = new Random(options.seed);
    this.watch = new SoakWatch(clusters);
    // Some write through a follower cluster: what they are told is what they can read there.
    const clients = [clusters.client, clusters.client, clusters.site(0).client];
    this.writers = new SoakWriters(clients, TABLES, this.random.fork(), WRITERS);
  }

  async run(): Promise<SoakReport> {
    await this.fill();
    this.watch.start();
    this.writers.start();
    const endMs = performance.now() + this.options.forMs;
    while (performance.now() < endMs && this.violations.length === 0) {
      await this.round(Math.min(performance.now() + ROUND_MS, endMs));
    }
    await this.writers.stop();
    await this.check('the soak has ended');
    await this.watch.stop();
    const { recoveries, batchesInDoubt, longestLagMs, longestLagRevisions } = this.watch;
    return {
      ...{ rounds: this.rounds, faults: this.faults, violations: this.violations },
      ...{ writes: this.writers.writes, failedWrites: this.writers.failures },
      ...{ recoveries, batchesInDoubt, longestLagMs, longestLagRevisions },
      ...{ longestHealMs: this.longestHealMs, ...this.last },
    };
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.watch.stop();
    await this.writers.stop();
  }

  private async fill(): Promise<void> {
    const { client } = this.clusters;
    const value = Buffer.alloc(STILL_ROW_BYTES, 'still ');
    for (const table of TABLES) {
      await client.createTable(table);
      for (let nth = 0; nth < STILL_ROWS; nth++) {
        await client.put({ table, key: `still ${nth}`, value });
      }
    }
  }

  private async round(endMs: number): Promise<void> {
    this.rounds++;
    const lanes = [
      this.lane(this.leaderFaults(), this.random.fork(), endMs),
      ...this.clusters.sites.map((one) =>
        this.lane(this.siteFaults(one), this.random.fork(), endMs),
      ),
    ];
    await Promise.all(lanes);
    await this.writers.pause();
    await this.check(`round ${this.rounds} has ended`);
    if (this.violations.length === 0) await this.between();
    this.writers.resume();
  }

  /** Nobody writes: the leader cluster is copied, or set back to what was copied. */
  private async between(): Promise<void> {
    const { clusters } = this;
    const turn = this.rounds % ROUNDS_PER_RETURN;
    if (turn === 1) this.older = await leader.OlderState.copyOf(clusters.leader);
    if (turn !== 0 || !this.older) return;
    await this.attempt('leader-set-back', async () => {
      await this.older?.putBack();
      for (const one of clusters.sites) await leader.deleteCopies(one);
      return true;
    });
    await this.check('the leader cluster was set back');
  }

  /** One fault after the other, each of them ended before the next one, until the round is over. */
  private async lane(faults: readonly Fault[], random: Random, endMs: number): Promise<void> {
    while (performance.now() < endMs && this.violations.length === 0) {
      await sleep(random.below(CALM_MS_MAX));
      const [name, deed] = random.pick(faults);
      await this.attempt(name, () => deed(random));
    }
  }

  private async attempt(name: string, deed: () => Promise<boolean>): Promise<void> {
    this.log(name);
    try {
      if (await deed()) this.faults.set(name, (this.faults.get(name) ?? 0) + 1);
      else this.log(`skipped: ${name}`);
    } catch (error) {
      this.violated(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private leaderFaults(): Fault[] {
    const { clusters } = this;
    const table = (random: Random) => random.pick(TABLES);
    return [
      ['leader-node-killed', (random) => leader.killNode(clusters.leader, random)],
      ['leader-gateway-killed', (random) => leader.killLeaderGateway(clusters, random)],
      ['table-made-anew', (random) => leader.recreateTable(clusters, table(random))],
      ['table-restored', (random) => leader.restoreTable(clusters, table(random), random)],
    ];
  }

  private siteFaults(one: FollowerSite): Fault[] {
    const { clusters } = this;
    const table = (random: Random) => random.pick(TABLES);
    return [
      ['link-cut', (random) => site.cutLink(one, random)],
      ['link-slow', (random) => site.slowLink(one, random)],
      ['follower-node-killed', (random) => leader.killNode(one.cluster, random)],
      ['puller-paused', (random) => site.pausePuller(one, table(random), random)],
      ['puller-killed', (random) => site.killPuller(one, table(random), random)],
      ['log-cut', (random) => site.stayAway(one, random)],
      ['killed-in-snapshot', (random) => site.killInSnapshot(clusters, one, table(random), random)],
      ['empty-answer', (random) => site.sayNoTables(one, random)],
    ];
  }

  private async check(when: string): Promise<void> {
    if (this.violations.length > 0) return;
    try {
      const { tables, rows, tookMs } = await untilEqual(this.clusters, EQUAL_MS);
      this.longestHealMs = Math.max(this.longestHealMs, tookMs);
      this.last = { tables, rows };
      this.log(`${when}: ${rows} rows of ${tables} tables equal after ${Math.round(tookMs)} ms`);
    } catch (error) {
      this.violated(`${when}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private violated(what: string): void {
    this.violations.push(what);
    this.log(`VIOLATION ${what}`);
    for (const gateway of this.clusters.gateways) {
      this.log(`a gateway printed at last:\n${gateway.output.slice(-3_000)}`);
    }
  }

  private log(line: string): void {
    const seconds = ((performance.now() - this.beganMs) / 1_000).toFixed(1);
    this.options.print(`${seconds.padStart(7)} s  ${line}`);
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
