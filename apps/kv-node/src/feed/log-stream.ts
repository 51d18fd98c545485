/**
 * The log of one table, as a stream of its applied entries.
 *
 *   position --> entries ... --> end of what was applied --follow--> wait --> entries ...
 *       |           \--the log was cut in front of the reader--> compacted, and the end
 *       \--the reader has another entry before the first one--> diverged, and the end
 *
 * On the wire an index is the revision that its entry has, or would have if it changed something; in here it
 * is that of the log. Entries that filled or adopted the table are no history: the log begins behind them.
 *
 * In: a replica, an index. Out: chunks, at the reader's pace: between two of them nothing is kept but
 * the next index. Entries are read when they are wanted, so a slow reader costs no memory; one that
 * takes nothing for too long is sent away.
 */
import { type CallContext, type MessageSink } from '@flotilla/grpc';
import { hot } from '@flotilla/proto';
import { type ToldEntry } from '@flotilla/raft';
import { withinStallLimit } from '../kv/reader-stall.js';
import { type NodeClock } from '../node/node-clock.js';
import { type RunningTable } from '../tables/table-registry.js';
import { compare, EntryWindow } from './entry-checks.js';

export interface LogWanted {
  readonly epoch: number;
  readonly from: number;
  readonly follow: boolean;
  readonly chunkBytes: number;
  /** Of the entry before the first one, as the reader has it; undefined if it does not know. */
  readonly previousCheck: bigint | undefined;
  /** Its entries are those of a puller, fenced; otherwise such ones did nothing. */
  readonly isCopy: boolean;
}

/** A chunk with the indexes of the log. */
type LogIndexes = Omit<hot.FeedLogChunk, 'entries'> & {
  readonly entries: readonly ToldEntry[];
};

const NOTHING = { position: undefined, entries: [], compacted: false, firstIndex: 0 };

const NO_COMMAND = Buffer.alloc(0);

export class LogStream {
  /** Index in the log of the wanted entry. */
  private next: number;
  /** Ends before that entry. */
  private window: EntryWindow;
  private readonly offset: number;

  constructor(
    private readonly table: RunningTable,
    private readonly wanted: LogWanted,
    private readonly clock: Pick<NodeClock, 'after' | 'turn'>,
    private readonly call: CallContext,
    private readonly sink: MessageSink,
  ) {
    this.offset = table.machine.state.revisionOffset;
    this.next = wanted.from - this.offset;
    this.window = new EntryWindow(table);
  }

  /** Settles when the stream has ended well. Rejects with HostError and GrpcStatusError. */
  async run(): Promise<void> {
    const { follow } = this.wanted;
    const { appliedIndex } = this.table.group;
    await this.send({ ...NOTHING, position: this.position(), appliedIndex });
    // Whoever wants what is not there yet has another history, or hears of it too early.
    if (this.next > appliedIndex + 1 || !(await this.goesOn())) return;
    while (!this.call.cancelled && (follow || this.next <= appliedIndex)) {
      const { ticket } = this.table.applied;
      if (!(await this.sendSome(follow ? Infinity : appliedIndex))) return;
      if (this.next > this.table.group.appliedIndex && follow) {
        await this.table.applied.since(ticket, this.call.signal);
      }
    }
  }

  /** Whether what the reader has is of the same history, as far as that can be told. */
  private async goesOn(): Promise<boolean> {
    const { previousCheck } = this.wanted;
    // What was cut, or is of before an adoption, is said to be gone where it is read.
    if (this.next <= 1 || this.next < this.firstIndex()) return true;
    const previous = this.next - 1;
    this.window = await EntryWindow.upTo(this.table, previous);
    if (previousCheck === undefined) return true;
    const compared = compare(this.table, this.window, previous, previousCheck);
    if (compared.kind === 'same') return true;
    const { appliedIndex } = this.table.group;
    if (compared.kind === 'other') {
      await this.send({ ...NOTHING, appliedIndex, diverged: true, lastCheck: compared.check });
    } else await this.sendCompacted();
    return false;
  }

  /** What is there, as much as fits one message. False if the log does not hold it any more. */
  private async sendSome(last: number): Promise<boolean> {
    const { group } = this.table;
    const isHistory = this.next >= this.firstIndex();
    const entries = isHistory
      ? await group.readApplied(this.next, this.wanted.chunkBytes)
      : undefined;
    const { appliedIndex } = group;
    // Where it was adopted meanwhile, what was read may be of before.
    if (entries === undefined || this.next < this.firstIndex()) {
      await this.sendCompacted();
      return false;
    }
    const due = entries.filter(({ index }) => index <= last);
    const newest = due.at(-1);
    if (newest === undefined) return true;
    this.next = newest.index + 1;
    this.window.add(due);
    const lastCheck = this.window.check;
    await this.send({ ...NOTHING, appliedIndex, entries: due, lastCheck });
    return true;
  }

  private async sendCompacted(): Promise<void> {
    const { revisionOffset } = this.table.machine.state;
    const { appliedIndex } = this.table.group;
    const firstIndex = this.firstIndex() + revisionOffset - this.offset;
    await this.send({ ...NOTHING, appliedIndex, compacted: true, firstIndex });
  }

  private async send(chunk: LogIndexes): Promise<void> {
    const behind = this.sink.write(hot.encodeLogChunk(this.onWire(chunk)));
    if (behind) await withinStallLimit(this.clock, behind);
    // A log from its beginning must not hold the loop: others take their turn between two chunks.
    else await this.clock.turn();
  }

  private position(): hot.FeedLogPosition {
    const { id, group } = this.table;
    const { epoch } = this.wanted;
    return { tableId: id, epoch, firstIndex: this.firstIndex(), appliedIndex: group.appliedIndex };
  }

  /** First entry that the log tells. */
  private firstIndex(): number {
    const { group, machine } = this.table;
    return Math.max(group.log.firstIndex(), machine.state.bornAtIndex + 1);
  }

  private onWire(chunk: LogIndexes): hot.FeedLogChunk {
    const { offset } = this;
    const { position, entries, appliedIndex, firstIndex } = chunk;
    return {
      ...chunk,
      position: position && {
        ...position,
        firstIndex: position.firstIndex + offset,
        appliedIndex: position.appliedIndex + offset,
      },
      entries: entries.map((entry) => ({
        index: entry.index + offset,
        command: this.told(entry),
      })),
      appliedIndex: appliedIndex + offset,
      firstIndex: chunk.compacted ? firstIndex + offset : firstIndex,
    };
  }

  /** What came too late, or twice, of those who filled or pulled the table did nothing. */
  private told({ data }: ToldEntry): Uint8Array {
    return !this.wanted.isCopy && hot.isOfOneCluster(data) ? NO_COMMAND : data;
  }
}
