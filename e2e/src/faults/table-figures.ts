/** Figures of the load on one table: operations by their outcome, and how long nothing was acknowledged. */
import { type KvInput } from '@flotilla/linearizability';

export class TableFigures {
  operations = 0;
  reads = 0;
  acknowledged = 0;
  failed = 0;
  unknown = 0;
  lastAcknowledgedMs = 0;
  lastReadMs = 0;
  longestGapMs = 0;
  /** Judged so far. */
  generations = 0;
  keys = 0;
  judged = 0;

  /** The load begins: gaps count from now on. */
  begin(): void {
    this.lastAcknowledgedMs = performance.now();
    this.lastReadMs = this.lastAcknowledgedMs;
  }

  note(kind: KvInput['kind'], outcome: 'ok' | 'fail' | 'unknown', nowMs: number): void {
    this.operations++;
    if (outcome === 'fail') this.failed++;
    if (outcome === 'unknown') this.unknown++;
    if (outcome !== 'ok') return;
    if (kind === 'get') {
      this.reads++;
      this.lastReadMs = nowMs;
      return;
    }
    this.acknowledged++;
    this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.lastAcknowledgedMs);
    this.lastAcknowledgedMs = nowMs;
  }
}
