/**
 * The log of one table, as a stream of its applied entries.
 *
 *   position --> entries ... --> end of what was applied --follow--> wait --> entries ...
 *                   \--the log was cut in front of the reader--> compacted, and the end
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
import { type CommittedEntry } from '@flotilla/raft';
import { withinStallLimit } from '../kv/reader-stall.js';
import { type NodeClock } from '../node/node-clock.js';
import { type RunningTable } from '../tables/table-registry.js';

export interface LogWanted {
  readonly epoch: number;
  readonly from: number;
  readonly follow: boolean;
  readonly chunkBytes: number;
}

/** A chunk with the indexes of the log. */
type LogIndexes = Omit<hot.FeedLogChunk, 'entries'> & {
  readonly entries: readonly CommittedEntry[];
};

const NOTHING = { position: undefined, entries: [], compacted: false, firstIndex: 0 };

export class LogStream {
  /** Index in the log of the wanted entry. */
  private next: number;
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
  }

  /** Settles when the stream has ended well. Rejects with HostError and GrpcStatusError. */
  async run(): Promise<void> {
    const { follow } = this.wanted;
    const { appliedIndex } = this.table.group;
    await this.send({ ...NOTHING, position: this.position(), appliedIndex });
    // Whoever wants what is not there yet has another history, or hears of it too early.
    if (this.next > appliedIndex + 1) return;
    while (!this.call.cancelled && (follow || this.next <= appliedIndex)) {
      const { ticket } = this.table.applied;
      if (!(await this.sendSome(follow ? Infinity : appliedIndex))) return;
      if (this.next > this.table.group.appliedIndex && follow) {
        await this.table.applied.since(ticket, this.call.signal);
      }
    }
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
      const { revisionOffset } = this.table.machine.state;
      const firstIndex = this.firstIndex() + revisionOffset - this.offset;
      await this.send({ ...NOTHING, appliedIndex, compacted: true, firstIndex });
      return false;
    }
    const due = entries.filter(({ index }) => index <= last);
    const newest = due.at(-1);
    if (newest === undefined) return true;
    this.next = newest.index + 1;
    await this.send({ ...NOTHING, appliedIndex, entries: due });
    return true;
  }

  private async send(chunk: LogIndexes): Promise<void> {
    const behind = this.sink.write(hot.encodeLogChunk(onWire(chunk, this.offset)));
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
}

function onWire(chunk: LogIndexes, offset: number): hot.FeedLogChunk {
  const { position, entries, appliedIndex, firstIndex } = chunk;
  return {
    ...chunk,
    position: position && {
      ...position,
      firstIndex: position.firstIndex + offset,
      appliedIndex: position.appliedIndex + offset,
    },
    entries: entries.map(({ index, data }) => ({ index: index + offset, command: data })),
    appliedIndex: appliedIndex + offset,
    firstIndex: chunk.compacted ? firstIndex + offset : firstIndex,
  };
}
