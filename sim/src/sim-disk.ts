/**
 * What a node keeps on disk: the files of its Raft log, its engine, and whose it is.
 *
 *   killed       everything that was written is there
 *   power cut    what was not synced is there or not, sector by sector, as chance has it
 *
 * A disk can also be slow, and fail writes and syncs.
 */
import { SimulatedEngine } from '@flotilla/mvcc/simulation';
import { type NodeIdentity } from '@flotilla/kv-node/simulation';
import { SimulatedFiles, type SimRandom } from '@flotilla/raft/testing';
import { type SimProcess } from './sim-process.js';

export interface DiskProfile {
  /** An ordinary sync takes up to this long. */
  readonly syncMaxMs: number;
  /** How often one takes much longer. */
  readonly stallChance: number;
  readonly stallMaxMs: number;
  /** What of the log may wait to be written. */
  readonly pendingBytesMax: number;
}

/** Of everything, the most: all that was written survives. */
const EVERYTHING = (below: number): number => below - 1;

export class SimDisk {
  files = new SimulatedFiles();
  engine = new SimulatedEngine();
  identity: NodeIdentity | undefined;
  /** Set while writes and syncs of the log fail. */
  failing: 'write' | 'sync' | undefined;

  constructor(
    private readonly random: SimRandom,
    private readonly profile: DiskProfile,
  ) {}

  /** Settings of the log that lies on it. */
  get log(): { readonly pendingBytesMax: number } {
    return { pendingBytesMax: this.profile.pendingBytesMax };
  }

  /** Joins the disk to the process that uses it now. */
  attach(process: SimProcess): void {
    const gate = () => new Promise<void>((resolve) => process.schedule(this.delayMs(), resolve));
    this.files.syncGate = gate;
    this.engine.syncGate = gate;
    this.files.onOperation = (operation) => {
      if (operation === this.failing) throw new Error(`EIO: planned for ${operation}`);
    };
  }

  /** The process is gone. A failed sync may have lost what it was to write, as a power cut does. */
  detach(how: 'killed' | 'power'): void {
    const pick = how === 'killed' && !this.failing ? EVERYTHING : this.pick;
    this.files = this.files.crash(pick);
    this.engine = this.engine.crash(how === 'killed' ? EVERYTHING : this.pick);
  }

  /** Everything on it is lost; nothing runs on it. */
  wipe(): void {
    this.files = new SimulatedFiles();
    this.engine = new SimulatedEngine();
    this.identity = undefined;
  }

  private readonly pick = (below: number): number => this.random.below(below);

  private delayMs(): number {
    const { syncMaxMs, stallChance, stallMaxMs } = this.profile;
    const { random } = this;
    return random.next() * (random.chance(stallChance) ? stallMaxMs : syncMaxMs);
  }
}
