/**
 * Recovery of a copy whose position is gone from the leader cluster's log, from a whole snapshot.
 *
 *   snapshot begins --> old copy deleted, new one with the next epoch --> lease "<gateway>/filling"
 *     --> PUT_BATCH ... --> DUMMY: the copy stands at the snapshot's index --> lease given back
 *
 * One interface, so that a table which is filled in the shadow and takes over when it is complete
 * can take its place. This way serves no old data meanwhile. Nothing is kept on disk, in memory one
 * piece and one batch. A copy that was not filled to its end is recognised by the holder of its
 * last lease: whoever takes it over begins anew, with another new copy. That is why such a lease is
 * never given back.
 */
import { type GatewayClock } from '../gateway-clock.js';
import {
  BatchesTooSmallError,
  FillBatches,
  type FillBounds,
  LARGE_BATCHES,
  SMALL_BATCHES,
} from './fill-batches.js';
import { type Holding, type Holdings } from './holdings.js';
import { fillingHolder, isFillingHolder } from './lease-planner.js';
import { type Pace } from './pace.js';
import { type Copy, type LeaderCluster, type ListedCopy, type OwnCluster } from './ports.js';
import { SnapshotRecords } from './snapshot-records.js';

export interface Recovery {
  /** The lease that it works under, which changes with the copy. */
  readonly holding: Holding;
  /** The lease of a copy to pull on; undefined if somebody else has it. May be tried again. */
  run(): Promise<Holding | undefined>;
}

export interface RecoveryParts {
  readonly gateway: string;
  readonly leader: LeaderCluster;
  readonly own: OwnCluster;
  readonly holdings: Holdings;
  readonly clock: GatewayClock;
  /** Of all recoveries together. */
  readonly pace: Pace;
  readonly received: (table: string, bytes: number) => void;
}

/** Epoch of a copy that is filled from the log alone, from its first entry on. */
export const FIRST_EPOCH = 1;

/** Another gateway has done something with the copy meanwhile. */
export class RecoveryContendedError extends Error {
  override readonly name = 'RecoveryContendedError';
}

/** Whether a copy was begun from a snapshot, and perhaps not finished. */
export function isUnfinished({ source, lease }: ListedCopy): boolean {
  if (source.epoch <= FIRST_EPOCH) return false;
  return lease === undefined || isFillingHolder(lease.holder);
}

/** The copy is deleted and filled anew. */
export class RefilledCopy implements Recovery {
  private current: Holding;
  private bounds = SMALL_BATCHES;

  constructor(
    private readonly parts: RecoveryParts,
    holding: Holding,
  ) {
    this.current = holding;
  }

  get holding(): Holding {
    return this.current;
  }

  async run(): Promise<Holding | undefined> {
    const { leader, gateway, holdings } = this.parts;
    const before = this.current;
    const call = new AbortController();
    let unlink = abortTogether(before.signal, call);
    try {
      const pieces = leader.snapshot(before.copy.table, call.signal)[Symbol.asyncIterator]();
      // What is here stays until the leader cluster gives something to put in its place.
      let piece = await pieces.next();
      const fresh = await this.replace(before.copy);
      unlink();
      // Whoever ended the one meant the other as well.
      if (before.signal.aborted) fresh.end();
      before.end();
      unlink = abortTogether(fresh.signal, call);
      const fill = new Fill(this.parts, fresh, this.bounds);
      await fill.begin();
      for (; piece.done !== true; piece = await pieces.next()) await fill.take(piece.value);
      await fill.end();
      await holdings.giveBack(fresh);
      return await holdings.take(fresh.copy, gateway);
    } catch (error) {
      if (error instanceof BatchesTooSmallError) this.bounds = LARGE_BATCHES;
      throw error;
    } finally {
      unlink();
      call.abort();
    }
  }

  private async replace({ table, source }: Copy): Promise<Holding> {
    const { own, holdings, gateway } = this.parts;
    const deleted = await own.delete(table, source);
    if (deleted === 'other') throw new RecoveryContendedError('there is another copy already');
    const next = { ...source, epoch: source.epoch + 1 };
    const { outcome, id } = await own.create(table, next);
    if (outcome !== 'created' && outcome !== 'exists') {
      throw new RecoveryContendedError(`the name was taken meanwhile: ${outcome}`);
    }
    const fresh = await holdings.take({ table, id, source: next }, fillingHolder(gateway));
    if (!fresh) throw new RecoveryContendedError('another gateway fills the copy');
    this.current = fresh;
    return fresh;
  }
}

/** A snapshot on its way into an empty copy. */
class Fill {
  private readonly records = new SnapshotRecords();
  private readonly batches: FillBatches;

  constructor(
    private readonly parts: RecoveryParts,
    private readonly holding: Holding,
    bounds: FillBounds,
  ) {
    this.batches = new FillBatches(holding.copy.table, bounds);
  }

  async begin(): Promise<void> {
    const index = await this.apply([]);
    if (index !== 0) throw new RecoveryContendedError(`the new copy is at ${index} already`);
  }

  async take(piece: Buffer): Promise<void> {
    const { clock, pace, received } = this.parts;
    received(this.holding.copy.table, piece.length);
    for (const pair of this.records.push(piece)) await this.send(this.batches.add(pair));
    const pauseMs = pace.pauseMs(piece.length, clock.nowMs());
    if (pauseMs > 0) await clock.sleep(pauseMs, this.holding.signal);
  }

  async end(): Promise<void> {
    const index = this.records.end();
    await this.send(this.batches.flush());
    await this.confirmed(this.batches.close(index), index);
  }

  private async send(command: Buffer | undefined): Promise<void> {
    if (command) await this.confirmed(command, this.batches.made);
  }

  private async confirmed(command: Buffer, index: number): Promise<void> {
    const at = await this.apply([command]);
    if (at !== index) throw new RecoveryContendedError(`the copy is at ${at}, not at ${index}`);
  }

  /** In doubt the whole recovery is given up: the next one begins with a copy of its own. */
  private async apply(commands: readonly Buffer[]): Promise<number> {
    const { copy, token, signal } = this.holding;
    const { outcome, leaderIndex } = await this.parts.own.apply({ copy, token, commands }, signal);
    if (outcome !== 'applied') throw new RecoveryContendedError(`a batch was refused: ${outcome}`);
    return leaderIndex;
  }
}

function abortTogether(signal: AbortSignal, call: AbortController): () => void {
  const abort = () => call.abort();
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  return () => signal.removeEventListener('abort', abort);
}
