/**
 * Snapshots that a leader announced to followers, and for how long nothing has come of each.
 *
 * The core sends nothing else to a follower that is to take a snapshot until it is told how that
 * went: a transfer that never began, or stopped, has to end as failed.
 */
import type { NodeId } from '../core/index.js';

export class SnapshotSends {
  private readonly idleTicks = new Map<NodeId, number>();

  constructor(private readonly idleTicksMax: number) {}

  announced(to: NodeId): void {
    this.idleTicks.set(to, 0);
  }

  /** A part of it was fetched. */
  progressed(to: NodeId): void {
    if (this.idleTicks.has(to)) this.idleTicks.set(to, 0);
  }

  ended(to: NodeId): void {
    this.idleTicks.delete(to);
  }

  clear(): void {
    this.idleTicks.clear();
  }

  /** Those that have been idle for too long by now; they are forgotten. */
  tick(): readonly NodeId[] {
    if (this.idleTicks.size === 0) return NOBODY;
    const failed: NodeId[] = [];
    for (const [to, ticks] of this.idleTicks) {
      if (ticks + 1 < this.idleTicksMax) this.idleTicks.set(to, ticks + 1);
      else failed.push(to);
    }
    for (const to of failed) this.idleTicks.delete(to);
    return failed;
  }
}

const NOBODY: readonly NodeId[] = [];
