/**
 * Elections that need not wait for a timeout: the node of the leader is known to be gone, or a group
 * has just been founded and one replica is meant to lead it.
 *
 * In: how many ticks from now this replica should try. Out, tick by tick: whether to campaign now.
 * Replicas of one group are given different delays, so that they do not split the votes; a try that
 * came too early, because others had not heard yet, is repeated a few times. Then time decides, as
 * always.
 */
const RETRY_TICKS = 3;
const TRIES_MAX = 8;

export class Haste {
  private ticksLeft = 0;
  private triesLeft = 0;

  get isOn(): boolean {
    return this.triesLeft > 0;
  }

  begin(ticks: number): void {
    this.ticksLeft = Math.max(1, ticks);
    this.triesLeft = TRIES_MAX;
  }

  end(): void {
    this.triesLeft = 0;
  }

  /** True when this tick is the one to campaign at. */
  tick(): boolean {
    if (!this.isOn || --this.ticksLeft > 0) return false;
    this.triesLeft--;
    this.ticksLeft = RETRY_TICKS;
    return true;
  }
}

/** Ticks that a replica waits, by its place among the living voters of the group. */
export function hasteTicks(group: number, own: number, voters: readonly number[]): number {
  if (voters.length === 0) return 1;
  const at = voters.indexOf(own);
  const rank = (at - (group % voters.length) + voters.length) % voters.length;
  return 1 + rank * RETRY_TICKS;
}
