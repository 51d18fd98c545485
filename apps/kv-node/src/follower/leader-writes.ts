/**
 * Writes that clients sent to a follower cluster, done by the leader cluster.
 *
 *   call --> answer                                   given on
 *        --> error, certainly nothing done            tried again, for a short while
 *        --> any other error                          told: `leader error: rpc error: code = ...`
 *
 * In: a method's path, the request's bytes, a deadline. Out: the answer's bytes and the revision that
 * it speaks of. What may have been written must never be sent a second time.
 */
import { GrpcStatusError, status, statusLabel } from '@flotilla/grpc';
import { regattaV1 } from '@flotilla/proto';
import { type NodeClock } from '../node/node-clock.js';
import { NOT_EXECUTED, wasNotExecuted } from '../peers/not-executed.js';

/** The way to the leader cluster: one method, any number of its gateways behind it. */
export interface LeaderCluster {
  /** Rejects with GrpcStatusError. */
  unary(
    path: string,
    request: Uint8Array,
    options: { readonly deadlineMs: number; readonly signal: AbortSignal },
  ): Promise<Buffer>;
  close(): void;
}

export interface WriteCounters {
  done: number;
  /** Ended with an error of the leader cluster, or on the way to it. */
  failed: number;
  /** Sent again after nothing had been done. */
  retried: number;
  /** Done, but not seen here in time. */
  unconfirmed: number;
}

export interface LeaderWrite {
  readonly method: string;
  readonly request: Uint8Array;
  /** On the clock of the node. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** How long a write that did not get in is tried again. */
const RETRY_FOR_MS = 2_000;
const PAUSE_MS = 20;
const PAUSE_MAX_MS = 250;
/** What a client of ours says of a call that it had no connection for. */
const NEVER_SENT = /^No connection established/;

export class LeaderWrites {
  readonly counters: WriteCounters = { done: 0, failed: 0, retried: 0, unconfirmed: 0 };

  constructor(
    private readonly leader: LeaderCluster,
    private readonly clock: Pick<NodeClock, 'nowMs' | 'sleep'>,
  ) {}

  /** Rejects with GrpcStatusError, as clients of Regatta know it. */
  async write({ method, request, deadlineMs, signal }: LeaderWrite): Promise<Buffer> {
    const retryUntilMs = Math.min(deadlineMs, this.clock.nowMs() + RETRY_FOR_MS);
    for (let attempt = 0; ; attempt++) {
      const remainingMs = Math.max(1, Math.floor(deadlineMs - this.clock.nowMs()));
      try {
        const answer = await this.leader.unary(method, request, {
          deadlineMs: remainingMs,
          signal,
        });
        this.counters.done++;
        return answer;
      } catch (error) {
        const pauseMs = Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** Math.min(attempt, 8));
        const isLate = this.clock.nowMs() + pauseMs >= retryUntilMs;
        if (isLate || signal.aborted || !mayTryAgain(error)) {
          this.counters.failed++;
          throw leaderError(error);
        }
        this.counters.retried++;
        await this.clock.sleep(pauseMs);
      }
    }
  }
}

/** The leader cluster's error, with its code and in Regatta's words. */
export function leaderError(error: unknown): GrpcStatusError {
  if (!(error instanceof GrpcStatusError)) {
    const text = 'forward error';
    return new GrpcStatusError(status.FAILED_PRECONDITION, text, undefined, { cause: error });
  }
  const { code, message } = error;
  const text = `leader error: rpc error: code = ${statusLabel(code)} desc = ${message}`;
  const metadata = isNothingDone(error) ? { [NOT_EXECUTED]: '1' } : undefined;
  return new GrpcStatusError(code, text, metadata, { cause: error });
}

/** The write is done, whatever its caller can see here. */
export function notSeenHere(
  revision: number,
  copyRevision: number | undefined,
  cause?: unknown,
): GrpcStatusError {
  const at = copyRevision === undefined ? 'cannot be seen here' : `is at revision ${copyRevision}`;
  const text =
    `the write is durable in the leader cluster at revision ${revision}, ` +
    `but the local copy ${at}`;
  const metadata = { [COMMITTED_REVISION]: String(revision) };
  return new GrpcStatusError(status.DEADLINE_EXCEEDED, text, metadata, { cause });
}

/** Trailer of a write that is done and could not be waited for: its revision. */
export const COMMITTED_REVISION = 'flotilla-committed-revision';

const HEADER_FIELD = 0x0a;
const NO_HEADER = { revision: 0, leaderTableId: 0 };

/**
 * The revision of a write, and the table of the leader cluster that it speaks of. All servers write the
 * header first; 0 where there is none, as Regatta leaves it out for a Txn without responses.
 */
export function headerOf(answer: Buffer): {
  readonly revision: number;
  readonly leaderTableId: number;
} {
  if (answer[0] !== HEADER_FIELD) return NO_HEADER;
  let length = 0;
  let at = 1;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = answer[at++] ?? 0;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  const { revision, shardId } = regattaV1.ResponseHeader.decode(answer.subarray(at, at + length));
  return { revision: Number(revision), leaderTableId: Number(shardId) };
}

/** A server that is too busy says so at once; asking it again makes that no better. */
function mayTryAgain(error: unknown): boolean {
  return isNothingDone(error) && !(error as Error).message.startsWith('system is too busy');
}

function isNothingDone(error: unknown): error is GrpcStatusError {
  if (!(error instanceof GrpcStatusError) || error.code !== status.UNAVAILABLE) return false;
  const isAnswer = Object.keys(error.metadata ?? {}).length > 0;
  return wasNotExecuted(error) || (!isAnswer && NEVER_SENT.test(error.message));
}
