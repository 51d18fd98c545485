/**
 * The most memory that processes held, phase by phase.
 *
 * In: processes by name. Out: the largest resident set of each since the phase began, looked at a few times a
 * second: what comes and goes in between is not seen.
 */
import { residentBytes } from './cli.js';

const LOOK_MS = 200;

export class MemoryWatch {
  private readonly most = new Map<string, number>();
  private readonly looking: NodeJS.Timeout;

  constructor(private readonly processes: Readonly<Record<string, () => number>>) {
    this.looking = setInterval(() => this.look(), LOOK_MS);
  }

  /** Bytes by name; the next phase begins. */
  take(): ReadonlyMap<string, number> {
    this.look();
    const most = new Map(this.most);
    this.most.clear();
    return most;
  }

  close(): void {
    clearInterval(this.looking);
  }

  private look(): void {
    for (const [name, pidOf] of Object.entries(this.processes)) {
      const bytes = residentBytes(pidOf());
      this.most.set(name, Math.max(bytes, this.most.get(name) ?? 0));
    }
  }
}
