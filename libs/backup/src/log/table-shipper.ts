/**
 * Ships the log of one table.
 *
 *   look what is stored --> turn: follow from there --> gather --due or enough--> store --> gather ...
 *        ^                    |  cut, or another's turn: store, and again        |
 *        '-- pause <----------'                    store fails: again, and nothing is read meanwhile
 *
 * In: a table, the source of its log, the store. Out: pieces without gaps, as far as the source has the
 * entries; where it has not, the gap is told. What was read is stored before the end, unless that is called off.
 */
import { BackupError } from '../backup-error.js';
import { LOG_MESSAGE_BYTES, LOG_PAUSE_MS, LOG_PAUSE_MS_MAX } from '../bounds.js';
import { type BackupClock } from '../clock.js';
import { logEpochFolder } from '../format/log-names.js';
import { readable } from '../read/findings.js';
import { type LogTable } from '../format/log-table.js';
import { type EntryRecord } from '../format/records.js';
import { type FollowRequest, type LogPart, type LogSource, type SourceTable } from '../ports.js';
import { Gathered } from './gathered.js';
import { type LogCatalog } from './log-catalog.js';
import { type LogPiece, runsOf } from './log-coverage.js';
import { type LogWriter } from './log-writer.js';
import { PartInbox } from './part-inbox.js';
import { type HeldBytes, type Turns } from './turns.js';

export type ShipEvent =
  | { readonly kind: 'stored'; readonly bytes: number; readonly revision: number }
  /** These revisions are in no piece, and the source does not have them any more. */
  | { readonly kind: 'gap'; readonly first: number; readonly last: number }
  /** The log begins here, and not at 1: what is stored of it needs a backup. */
  | { readonly kind: 'begins'; readonly first: number }
  | { readonly kind: 'failed'; readonly error: unknown };

export interface TableShipperParts {
  readonly clusterId: string;
  readonly source: LogSource;
  readonly logs: LogCatalog;
  readonly writer: LogWriter;
  readonly clock: BackupClock;
  readonly intervalMs: number;
  readonly held: HeldBytes;
  readonly streams: Turns;
  readonly storeCalls: Turns;
  /** Whether there are more tables than streams: then each gives its own up after a while. */
  readonly mustShare: () => boolean;
  readonly onEvent: (table: SourceTable, event: ShipEvent) => void;
}

export class TableShipper {
  private gathered: Gathered | undefined;
  private stored = 0;
  private isTold = false;
  private inbox: PartInbox | undefined;
  private failures = 0;

  constructor(
    readonly table: SourceTable,
    private readonly parts: TableShipperParts,
  ) {}

  /** The last revision that is stored; 0 for none. */
  get storedRevision(): number {
    return this.stored;
  }

  /** When the oldest entry was seen that is not stored. */
  get oldestAtMs(): number | undefined {
    return this.gathered?.oldestAtMs;
  }

  /** It is to look again whether it has to share. */
  call(): void {
    this.inbox?.call();
  }

  /** Until `reading` is aborted; what was read is stored after that, until `signal` is. Never rejects. */
  async run(reading: AbortSignal, signal: AbortSignal): Promise<void> {
    while (!reading.aborted) {
      try {
        const gathered = (this.gathered ??= await this.begin(reading));
        await this.parts.streams.during(reading, () => this.turn(gathered, reading, signal));
      } catch (error) {
        if (!reading.aborted) await this.pause(error, reading);
      }
    }
    try {
      if (this.gathered) await this.store(this.gathered, signal);
    } catch (error) {
      this.tell({ kind: 'failed', error });
    }
    this.gathered?.clear();
  }

  private async begin(signal: AbortSignal): Promise<Gathered> {
    const { logs, storeCalls, held, clusterId } = this.parts;
    const { tableId, epoch } = this.table;
    const [pieces, told, last] = await storeCalls.during(signal, async () => {
      const there = await logs.pieces(tableId, epoch, signal);
      const whose = await readable(() => logs.table(tableId, signal));
      return [there, whose?.clusterId ?? clusterId, await this.lastOf(there, whose, signal)];
    });
    if (told !== clusterId && pieces.length > 0) {
      const text = `${logEpochFolder(tableId, epoch)} is of another cluster: a store of its own is needed`;
      throw new BackupError('INVALID', text);
    }
    this.stored = runsOf(pieces).at(-1)?.last ?? 0;
    return new Gathered(held, this.stored + 1, last?.check);
  }

  /** What is gone on behind; undefined where it cannot be read, which a verification tells. */
  private async lastOf(
    pieces: readonly LogPiece[],
    told: LogTable | undefined,
    signal: AbortSignal,
  ): Promise<EntryRecord | undefined> {
    const piece = runsOf(pieces).at(-1)?.pieces.at(-1);
    if (!piece) return undefined;
    const { logs } = this.parts;
    const entries = await readable(() => logs.entries(piece, told?.keyIds ?? [], signal));
    return entries?.at(-1);
  }

  private async turn(gathered: Gathered, reading: AbortSignal, signal: AbortSignal): Promise<void> {
    const { source, clock, held, intervalMs, mustShare } = this.parts;
    const ending = new AbortController();
    const either = AbortSignal.any([reading, ending.signal]);
    const inbox = new PartInbox(source.follow(this.wanted(gathered), either), ending, clock);
    this.inbox = inbox;
    const endsAtMs = clock.wallMs() + intervalMs;
    try {
      while (!reading.aborted) {
        if (held.isFull) await this.makeRoom(gathered, reading, signal);
        const isOver = mustShare() && clock.wallMs() >= endsAtMs;
        if (isOver) break;
        const untilMs = Math.min(this.dueAtMs ?? Infinity, mustShare() ? endsAtMs : Infinity);
        const delayMs = untilMs === Infinity ? undefined : Math.max(0, untilMs - clock.wallMs());
        const arrival = await inbox.wait(delayMs);
        if (arrival?.kind === 'failed') throw arrival.error;
        if (arrival?.kind === 'end') throw new BackupError('SOURCE_CUT', 'a log came to its end');
        if (arrival) await this.accept(gathered, arrival.part, signal);
        // Nothing follows it: the next turn begins where the log does.
        if (arrival?.part.cutAt !== undefined) break;
        if (this.isDue(gathered)) await this.store(gathered, signal);
      }
    } finally {
      this.inbox = undefined;
      await inbox.close();
      await this.store(gathered, signal);
    }
  }

  private wanted({ next, lastCheck }: Gathered): FollowRequest {
    const { table } = this;
    return { table, from: next, previousCheck: lastCheck, partBytesMax: LOG_MESSAGE_BYTES };
  }

  private async accept(gathered: Gathered, part: LogPart, signal: AbortSignal): Promise<void> {
    const { cutAt, entries } = part;
    if (part.diverged === true) {
      const text = `revision ${gathered.next - 1} is another one than was shipped: its history was set back`;
      throw new BackupError('TABLE_CHANGED', text);
    }
    gathered.add(part, this.parts.clock.wallMs());
    if (entries.length > 0) this.failures = 0;
    if (cutAt === undefined) return;
    await this.store(gathered, signal);
    const first = gathered.next;
    if (cutAt <= first) throw new BackupError('SOURCE_CUT', `a log was cut at ${cutAt}`);
    if (first > 1) this.tell({ kind: 'gap', first, last: cutAt - 1 });
    else this.tell({ kind: 'begins', first: cutAt });
    gathered.goOnAt(cutAt);
  }

  /** All of them together hold too much: nothing more is read before some of it is stored. */
  private async makeRoom(
    gathered: Gathered,
    reading: AbortSignal,
    signal: AbortSignal,
  ): Promise<void> {
    if (gathered.isEmpty) await this.parts.held.room(reading);
    else await this.store(gathered, signal);
  }

  private get dueAtMs(): number | undefined {
    const oldestAtMs = this.gathered?.oldestAtMs;
    return oldestAtMs === undefined ? undefined : oldestAtMs + this.parts.intervalMs;
  }

  private isDue(gathered: Gathered): boolean {
    return gathered.isEnough || this.parts.clock.wallMs() >= (this.dueAtMs ?? Infinity);
  }

  /** Until it is stored: rejects only when called off. */
  private async store(gathered: Gathered, signal: AbortSignal): Promise<void> {
    if (gathered.isEmpty) return;
    const { writer, storeCalls, clusterId } = this.parts;
    for (let failures = 0; ; failures++) {
      try {
        const bytes = await storeCalls.during(signal, async () => {
          if (!this.isTold) await writer.tellTable(clusterId, this.table, signal);
          this.isTold = true;
          return writer.write(this.table, gathered.piece, signal);
        });
        this.stored = gathered.next - 1;
        gathered.clear();
        this.tell({ kind: 'stored', bytes, revision: this.stored });
        return;
      } catch (error) {
        signal.throwIfAborted();
        this.tell({ kind: 'failed', error });
        await this.parts.clock.sleep(pauseMs(failures), signal);
      }
    }
  }

  private async pause(error: unknown, reading: AbortSignal): Promise<void> {
    this.tell({ kind: 'failed', error });
    await this.parts.clock.sleep(pauseMs(this.failures++), reading);
  }

  private tell(event: ShipEvent): void {
    this.parts.onEvent(this.table, event);
  }
}

function pauseMs(failures: number): number {
  return Math.min(LOG_PAUSE_MS * 2 ** Math.min(failures, 20), LOG_PAUSE_MS_MAX);
}
