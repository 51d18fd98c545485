/**
 * `replication.v1.Log`: what a table's log holds from an index on, for follower clusters that poll.
 *
 *   first wanted index --> commands ... --> final message with the index that was applied
 *                      \--not in the log any more--> USE_SNAPSHOT
 *                      \--beyond the log-----------> LEADER_BEHIND
 *
 * Every entry is sent, with its index: those without a command, and those of kinds that Regatta does
 * not know, as DUMMY. Whatever else goes wrong is a status: a stream that ends well has told all.
 */
import {
  type CallContext,
  type GrpcServer,
  GrpcStatusError,
  type MessageSink,
  status,
} from '@flotilla/grpc';
import { hot, replicationV1 } from '@flotilla/proto';
import { type GatewayClock } from '../gateway-clock.js';
import { type Feed } from '../nodes/feed.js';
import { PacedSink } from './paced-sink.js';
import { type ReplicationMetrics } from './replication-metrics.js';

export const REPLICATE = '/replication.v1.Log/Replicate';

/** A message of commands is no larger, even where followers would take more. */
const MESSAGE_BYTES_MAX = 1024 * 1024;
/** What is left of a message for its fields, of the commands that fit in it. */
const COMMANDS_SHARE = 3 / 4;

const { ReplicateError, ReplicateRequest, ReplicateResponse } = replicationV1;

export class LogService {
  private readonly messageBytesMax: number;

  constructor(
    private readonly feed: Pick<Feed, 'readLog'>,
    private readonly clock: GatewayClock,
    private readonly metrics: Pick<ReplicationMetrics, 'commands'>,
    sendMessageBytesMax: number,
  ) {
    this.messageBytesMax = Math.min(sendMessageBytesMax, MESSAGE_BYTES_MAX);
  }

  register(server: GrpcServer): void {
    server.register(REPLICATE, 'server-stream', (bytes, call, sink) =>
      this.replicate(bytes, call, sink),
    );
  }

  private async replicate(bytes: Buffer, call: CallContext, sink: MessageSink): Promise<void> {
    const { table, leaderIndex } = ReplicateRequest.decode(bytes);
    if (leaderIndex === 0n) throw noIndex();
    const paced = new PacedSink(sink, this.clock);
    // An index that no log can have lies beyond any.
    if (leaderIndex > BigInt(Number.MAX_SAFE_INTEGER)) {
      return paced.send(errorResponse(ReplicateError.LEADER_BEHIND));
    }
    const from = Number(leaderIndex);
    const chunks = this.feed.readLog(table, from, {
      deadlineMs: deadlineOf(call, this.clock),
      signal: call.signal,
      chunkBytesMax: Math.floor(this.messageBytesMax * COMMANDS_SHARE),
    });
    let appliedIndex = 0;
    for await (const { position, entries, compacted } of chunks) {
      if (position) ({ appliedIndex } = position);
      if (position && appliedIndex + 1 < from) {
        return paced.send(errorResponse(ReplicateError.LEADER_BEHIND));
      }
      if (entries.length > 0) await this.send(table, entries, appliedIndex, paced);
      if (compacted) return paced.send(errorResponse(ReplicateError.USE_SNAPSHOT));
    }
    await paced.send(finalResponse(appliedIndex));
  }

  private async send(
    table: Buffer,
    entries: readonly hot.ReceivedEntry[],
    appliedIndex: number,
    paced: PacedSink,
  ): Promise<void> {
    for (const part of this.messages(table, entries)) {
      const message = hot.encodeReplicateCommands(table, part, appliedIndex);
      await paced.send(message);
      this.metrics.commands(table.toString(), part.length, message.length);
    }
  }

  /** Entries that fit one message together; one that is larger than that goes alone. */
  private *messages(
    table: Buffer,
    entries: readonly hot.ReceivedEntry[],
  ): Iterable<readonly hot.ReceivedEntry[]> {
    let part: hot.ReceivedEntry[] = [];
    let bytes = 0;
    for (const entry of entries) {
      const size = hot.replicateCommandBytesMax(entry, table);
      if (part.length > 0 && bytes + size > this.messageBytesMax) {
        yield part;
        [part, bytes] = [[], 0];
      }
      part.push(entry);
      bytes += size;
    }
    yield part;
  }
}

/** On the clock's own time; undefined where the caller waits for as long as it takes. */
export function deadlineOf(call: CallContext, clock: GatewayClock): number | undefined {
  return call.deadline === undefined
    ? undefined
    : clock.nowMs() + Math.max(0, call.deadline - clock.wallMs());
}

function errorResponse(error: replicationV1.ReplicateError): Uint8Array {
  const response = { $case: 'errorResponse', value: { error } } as const;
  return ReplicateResponse.encode({ response, leaderIndex: 0n }).finish();
}

function finalResponse(appliedIndex: number): Uint8Array {
  const leaderIndex = BigInt(appliedIndex);
  return ReplicateResponse.encode({ response: undefined, leaderIndex }).finish();
}

function noIndex(): GrpcStatusError {
  const text = 'invalid leaderIndex: leaderIndex must be greater than 0';
  return new GrpcStatusError(status.INVALID_ARGUMENT, text);
}
