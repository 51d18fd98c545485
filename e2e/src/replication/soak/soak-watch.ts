/**
 * Looks at follower clusters for as long as a soak lasts: how far they were behind at most, and how often a copy was
 * made anew. In: the clusters. Out: figures. What does not answer, because a fault has it, is looked at later.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { scrape, type SoakClusters } from './soak-clusters.js';

const LOOK_MS = 500;
const CALL_MS = 1_000;
const DONE = /^flotilla_puller_snapshots_total\{[^}]*outcome="done"[^}]*\} (\d+)/gm;
const IN_DOUBT = /^flotilla_puller_errors_total\{[^}]*kind="copy-in-doubt"[^}]*\} (\d+)/gm;

export class SoakWatch {
  longestLagMs = 0;
  longestLagRevisions = 0;
  /** By process: a gateway that is killed counts from nothing again. */
  private readonly recovered = new Map<number, number>();
  private readonly doubts = new Map<number, number>();
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;

  constructor(private readonly clusters: SoakClusters) {}

  get recoveries(): number {
    return sum(this.recovered);
  }

  /** Batches that had no answer. */
  get batchesInDoubt(): number {
    return sum(this.doubts);
  }

  start(): void {
    this.running ??= this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      await Promise.all([this.lags(), this.counts()]);
      await sleep(LOOK_MS);
    }
  }

  private async lags(): Promise<void> {
    for (const { client } of this.clusters.sites) {
      try {
        const { tables } = await client.replication.status('', { timeoutMs: CALL_MS });
        for (const { lagMs = 0, lagRevisions = 0 } of tables) {
          this.longestLagMs = Math.max(this.longestLagMs, lagMs);
          this.longestLagRevisions = Math.max(this.longestLagRevisions, lagRevisions);
        }
      } catch {
        // A node is down.
      }
    }
  }

  private async counts(): Promise<void> {
    for (const gateway of this.clusters.sites.flatMap(({ gateways }) => gateways)) {
      if (!gateway.isRunning) continue;
      const { pid } = gateway;
      const text = await scrape(gateway);
      if (text === '') continue;
      this.recovered.set(pid, total(text, DONE));
      this.doubts.set(pid, total(text, IN_DOUBT));
    }
  }
}

function total(text: string, line: RegExp): number {
  let found = 0;
  for (const [, count] of text.matchAll(line)) found += Number(count);
  return found;
}

function sum(counts: ReadonlyMap<number, number>): number {
  return [...counts.values()].reduce((all, one) => all + one, 0);
}
