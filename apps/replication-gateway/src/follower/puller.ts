/**
 * Pulls one table for as long as its lease lasts: does what the machine says (`puller-machine.ts`).
 *
 *   log from the position on --> entries --> batches --> applied, one at a time
 *
 * In: a lease. Out: how it ended. One message and one batch are with it, no more is taken while a
 * batch is being applied; a log that is pushed is told how far that is. An error of a batch is never passed over: the
 * position is asked for before anything else is sent.
 */
import { type Logger } from '@flotilla/platform';
import { replicationV1 } from '@flotilla/proto';
import { type GatewayClock } from '../gateway-clock.js';
import { shownCheck } from '../shown-check.js';
import { EntryBatch, LogGapError } from './entry-batch.js';
import { copyFailure, type CopyFailure, leaderFailure, textOf } from './failure-kind.js';
import { type Holding } from './holdings.js';
import {
  type Batch,
  type CopyPosition,
  type LeaderCluster,
  type LogMessage,
  type LogStart,
  type LogStream,
  type OwnCluster,
} from './ports.js';
import { type PositionBoard } from './position-board.js';
import { type Failure, PullerMachine, type PullerEnd } from './puller-machine.js';

/** What pullers tell of their work. */
export interface PullerEvents {
  applied(table: string, commands: number, bytes: number): void;
  failed(table: string, failure: Failure): void;
}

export interface PullerParts {
  readonly leader: LeaderCluster;
  readonly own: OwnCluster;
  readonly clock: GatewayClock;
  readonly board: PositionBoard;
  readonly events: PullerEvents;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  readonly pollIntervalMs: number;
}

const { USE_SNAPSHOT } = replicationV1.ReplicateError;

type Messages = AsyncIterator<LogMessage>;
type Next = Promise<IteratorResult<LogMessage>>;

/** What came and is not applied yet. */
interface Gathering {
  readonly log: LogStream;
  readonly entries: EntryBatch;
}

/** A batch was not confirmed. */
class CopyError extends Error {
  override readonly name = 'CopyError';

  constructor(
    readonly kind: CopyFailure | 'lease-lost',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export class Puller {
  readonly machine: PullerMachine;
  private activeAtMs: number;
  /** Ends what it waits for, and no more than that. */
  private readonly interrupt = new AbortController();

  constructor(
    private readonly parts: PullerParts,
    private readonly holding: Holding,
  ) {
    this.machine = new PullerMachine(parts.pollIntervalMs);
    this.activeAtMs = parts.clock.nowMs();
    const { signal } = holding;
    signal.addEventListener('abort', () => this.interrupt.abort(), { once: true });
    if (signal.aborted) this.interrupt.abort();
  }

  /** When a command was applied last, or it began. */
  get lastActiveMs(): number {
    return this.activeAtMs;
  }

  /** The table is another one in the leader cluster: nothing more of this log is wanted. */
  resynchronise(): void {
    this.machine.needsSnapshot();
    this.interrupt.abort();
  }

  /** Never rejects for what the clusters do. */
  async run(): Promise<PullerEnd> {
    const { signal } = this.holding;
    for (;;) {
      if (signal.aborted) this.machine.over('stopped');
      const step = this.machine.next();
      switch (step.kind) {
        case 'end':
          return step.reason;
        case 'wait':
          await this.parts.clock.sleep(step.delayMs, this.interrupt.signal);
          this.machine.waited();
          break;
        case 'locate':
          await this.locate();
          break;
        case 'pull':
          await this.pull(step);
      }
    }
  }

  private async locate(): Promise<void> {
    const { id, table } = this.holding.copy;
    try {
      const position = await this.apply({ commands: [] });
      this.machine.located(position);
      this.parts.board.applied(id, table, position.index, this.parts.clock.nowMs());
    } catch (error) {
      this.failed(error);
    }
  }

  private async pull({ from, previousCheck }: LogStart): Promise<void> {
    const { signal } = this.interrupt;
    const call = new AbortController();
    const abort = () => call.abort();
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    try {
      const { table, source } = this.holding.copy;
      const log = this.parts.leader.log({ table, source }, { from, previousCheck }, call.signal);
      await this.read(log, from);
    } catch (error) {
      this.failed(error);
    } finally {
      signal.removeEventListener('abort', abort);
      // Whatever is still open of it is of no use to anybody.
      call.abort();
    }
  }

  private async read(log: LogStream, from: number): Promise<void> {
    const messages = log[Symbol.asyncIterator]();
    let batch: Gathering | undefined;
    for (let pending = begun(messages); ;) {
      const result = await this.due(pending, batch);
      if (result === undefined) continue;
      batch ??= { log, entries: new EntryBatch(from, log.mayLeaveOut) };
      if (result.done === true) throw new LogGapError('a log ended without its final message');
      // The next message comes in while this one is applied.
      if (result.value.kind === 'commands') pending = begun(messages);
      if (await this.take(result.value, batch)) break;
    }
    // A call that has come to its end need not be cancelled.
    const { done } = await messages.next();
    if (done !== true) throw new LogGapError('a message follows the final one of a log');
  }

  /** What comes next; undefined if the batch had to go first. What was gathered is never lost. */
  private async due(
    pending: Next,
    batch: Gathering | undefined,
  ): Promise<IteratorResult<LogMessage> | undefined> {
    if (!batch || batch.entries.isEmpty) return pending;
    const { clock } = this.parts;
    try {
      const result = await inTime(pending, batch.entries.leftMs(clock.nowMs()), clock);
      if (result === undefined || result.done === true) await this.flush(batch);
      return result;
    } catch (error) {
      await this.flush(batch);
      throw error;
    }
  }

  /** Whether the poll is over. */
  private async take(message: LogMessage, batch: Gathering): Promise<boolean> {
    const { board, clock } = this.parts;
    const { id, table } = this.holding.copy;
    const { kind, entries, error, leaderIndex, leaderClockMs, divergence } = message;
    if (leaderIndex > 0) {
      const wallMs = leaderClockMs ?? clock.wallMs();
      board.heard(id, table, leaderIndex, { nowMs: clock.nowMs(), wallMs });
    }
    // A message is kept whole where it can be: it tells the check of its last entry alone.
    const bytes = entries.reduce((sum, { command }) => sum + command.length, 0);
    if (batch.entries.isFullFor(bytes, entries.length)) await this.flush(batch);
    for (const entry of entries) {
      if (batch.entries.isFullFor(entry.command.length)) await this.flush(batch);
      batch.entries.add(entry, clock.nowMs());
    }
    if (entries.length > 0) batch.entries.check(message.lastCheck);
    if (kind === 'commands') {
      // A log that is pushed says this of its own accord, and nothing else while nothing happens.
      if (entries.length === 0) this.machine.heard();
      return false;
    }
    await this.flush(batch);
    if (divergence !== undefined) this.diverged(divergence);
    else if (kind === 'final') this.machine.polled();
    else if (error === USE_SNAPSHOT) this.machine.needsSnapshot();
    else this.noted('leader-behind', 'the log of the leader cluster ends before this copy does');
    return true;
  }

  private async flush({ log, entries }: Gathering): Promise<void> {
    if (entries.isEmpty) return;
    const { board, clock, events } = this.parts;
    const { id, table } = this.holding.copy;
    const { commands, bytes, lastIndex, lastCheck } = entries.take();
    const position = await this.apply({ commands, lastCheck });
    const { index } = position;
    if (index !== lastIndex) {
      const text = `the copy is at ${index} after a batch up to ${lastIndex}`;
      throw new CopyError('copy-in-doubt', text);
    }
    const failure = this.machine.lastFailure;
    this.machine.applied(position);
    log.applied(index);
    this.activeAtMs = clock.nowMs();
    board.applied(id, table, index, this.activeAtMs);
    events.applied(table, commands.length, bytes);
    if (failure) this.parts.logger.info({ table, index, after: failure }, 'pulling again');
  }

  /** Where the copy stands after it. */
  private async apply(part: Pick<Batch, 'commands' | 'lastCheck'>): Promise<CopyPosition> {
    const { copy, token, signal } = this.holding;
    try {
      const batch = { copy, token, ...part };
      const { outcome, leaderIndex, leaderCheck } = await this.parts.own.apply(batch, signal);
      if (outcome === 'applied') return { index: leaderIndex, check: leaderCheck };
      const kind = outcome === 'old-token' ? 'lease-lost' : 'copy-gone';
      throw new CopyError(kind, `a batch was refused: ${outcome}`);
    } catch (error) {
      if (error instanceof CopyError) throw error;
      throw new CopyError(copyFailure(error), textOf(error), { cause: error });
    }
  }

  /** Nothing of the log was taken: all of the copy may be of another history. */
  private diverged(reason: string): void {
    const { events, logger } = this.parts;
    const { table, id } = this.holding.copy;
    const check = shownCheck(this.machine.copyCheck);
    const fields = { table, copy: id, index: this.machine.copyIndex, check, reason };
    logger.warn(fields, 'the copy is of another history than the leader cluster: it is made anew');
    events.failed(table, 'diverged');
    this.machine.diverged();
  }

  private failed(error: unknown): void {
    if (this.holding.signal.aborted) return this.machine.over('stopped');
    if (this.interrupt.signal.aborted && !(error instanceof CopyError)) return;
    if (!(error instanceof CopyError)) return this.noted(leaderFailure(error), textOf(error));
    if (error.kind === 'copy-gone' || error.kind === 'lease-lost') {
      return this.machine.over(error.kind);
    }
    this.noted(error.kind, error.message);
  }

  /** The first one of a kind is logged, all are counted. */
  private noted(failure: Failure, reason: string): void {
    const { table } = this.holding.copy;
    if (this.machine.lastFailure !== failure) {
      this.parts.logger.warn({ table, failure, reason }, 'a table is not pulled as it should be');
    }
    this.machine.failed(failure);
    this.parts.events.failed(table, failure);
  }
}

/** The next message; an error of it is met where it is waited for, and nowhere if nobody waits. */
function begun(messages: Messages): Next {
  const next = messages.next();
  next.catch(() => undefined);
  return next;
}

/** Undefined if it takes longer. */
async function inTime<T>(
  outcome: Promise<T>,
  delayMs: number,
  clock: Pick<GatewayClock, 'sleep'>,
): Promise<T | undefined> {
  const done = new AbortController();
  try {
    return await Promise.race([outcome, clock.sleep(delayMs, done.signal).then(() => undefined)]);
  } finally {
    done.abort();
  }
}
