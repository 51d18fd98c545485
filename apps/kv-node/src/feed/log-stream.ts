/**
 * The log of one table, as a stream of its applied entries.
 *
 *   position --> entries ... --> end of what was applied --follow--> wait --> entries ...
 *                   \--the log was cut in front of the reader--> compacted, and the end
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

const NOTHING = { position: undefined, entries: [], compacted: false, firstIndex: 0 };

export class LogStream {
  private next: number;

  constructor(
    private readonly table: RunningTable,
    private readonly wanted: LogWanted,
    private readonly clock: Pick<NodeClock, 'after' | 'turn'>,
    private readonly call: CallContext,
    private readonly sink: MessageSink,
  ) {
    this.next = wanted.from;
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
    const entries = await group.readApplied(this.next, this.wanted.chunkBytes);
    const { appliedIndex } = group;
    if (entries === undefined) {
      const firstIndex = group.log.firstIndex();
      await this.send({ ...NOTHING, appliedIndex, compacted: true, firstIndex });
      return false;
    }
    const due = entries.filter(({ index }) => index <= last);
    const newest = due.at(-1);
    if (newest === undefined) return true;
    this.next = newest.index + 1;
    await this.send({ ...NOTHING, appliedIndex, entries: due.map(asFeedEntry) });
    return true;
  }

  private async send(chunk: hot.FeedLogChunk): Promise<void> {
    const behind = this.sink.write(hot.encodeLogChunk(chunk));
    if (behind) await withinStallLimit(this.clock, behind);
    // A log from its beginning must not hold the loop: others take their turn between two chunks.
    else await this.clock.turn();
  }

  private position(): hot.FeedLogPosition {
    const { id, group } = this.table;
    const firstIndex = group.log.firstIndex();
    return { tableId: id, epoch: this.wanted.epoch, firstIndex, appliedIndex: group.appliedIndex };
  }
}

function asFeedEntry({ index, data }: CommittedEntry): hot.FeedEntry {
  return { index, command: data };
}
