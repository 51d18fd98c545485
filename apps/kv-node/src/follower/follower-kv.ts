/**
 * The KV API of a follower cluster.
 *
 *   Range, IterateRange, Txn that reads    from the copy, once it has `min-revision`; the answer's
 *                                          headers say how far behind it is
 *   Put, DeleteRange, Txn that writes      checked here --> leader cluster --> seen here --> answered
 *
 * What is refused here has the texts of a leader cluster; what the leader cluster refuses begins with
 * `leader error:`. The answer of a write is the leader cluster's, header included. Nothing is proposed
 * to a table of this cluster here: copies hold what their leader cluster holds, and nothing else.
 */
import {
  GrpcStatusError,
  status,
  type CallContext,
  type GrpcServer,
  type MessageSink,
} from '@flotilla/grpc';
import { hot } from '@flotilla/proto';
import { type Catalog } from '../catalog/catalog.service.js';
import { busy, notReady, withStatus } from '../kv/errors.js';
import {
  DELETE_RANGE,
  ITERATE_RANGE,
  PUT,
  PUTS,
  RANGE,
  RANGE_DELETES,
  TXN,
  TXNS,
  type WriteKind,
} from '../kv/kv-methods.js';
import { bytesOf, decode, isReadOnly, type KvService } from '../kv/kv.service.js';
import {
  checkDeleteRange,
  checkIterateRange,
  checkPut,
  checkRange,
  checkTxn,
} from '../kv/validation.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { type MorePassedCalls } from '../routing/passed-calls.js';
import { type Answer, type TableRouter } from '../routing/table-router.js';
import { type RunningTable } from '../tables/table-registry.js';
import { type LagBoard, tellLag } from './lag-board.js';
import { headerOf, notSeenHere, type LeaderWrites } from './leader-writes.js';
import {
  encodeShown,
  READ_AT,
  type LocalCopies,
  type Shown,
  type WantedCopy,
} from './local-copies.js';
import { minRevisionOf, notHereInTime } from './min-revision.js';
import { decodeRead, encodeLag, encodeRead, splitAnswer, type PassedRead } from './passed-reads.js';

/** How long a call without a deadline of its own may take. */
export const CALL_TIMEOUT_MS = 10_000;
/** How long it may take to hear of what the catalog says now. */
const CATALOG_TIMEOUT_MS = 2_000;
/** Longest deadline of a caller that is waited for. */
export const CALL_TIMEOUT_MAX_MS = 10 * 60_000;
/**
 * Of the time a call has, what is kept back for the answer that says why it was late, and for its way:
 * else the caller gives up before, and never hears that its write is durable.
 */
const ANSWER_SHARE = 0.1;
const ANSWER_MS_MAX = 250;

const WRITES = new Set([PUT, DELETE_RANGE]);

/** What an answer comes from. */
export interface FollowerKvParts {
  readonly runtime: NodeRuntime;
  readonly catalog: Catalog;
  readonly router: TableRouter;
  readonly kv: KvService;
  readonly copies: LocalCopies;
  readonly lags: LagBoard;
  readonly writes: LeaderWrites;
}

export class FollowerKv implements MorePassedCalls {
  constructor(private readonly parts: FollowerKvParts) {}

  register(server: GrpcServer): void {
    const { kv } = this.parts;
    server.register(RANGE, 'unary', (bytes, call) =>
      this.isPromoted ? kv.range(bytes, call, 0) : this.range(bytes, call),
    );
    server.register(ITERATE_RANGE, 'server-stream', (bytes, call, sink) =>
      this.isPromoted
        ? kv.iterateRange(bytes, call, sink, 0)
        : this.iterateRange(bytes, call, sink),
    );
    server.register(PUT, 'unary', (bytes, call) => {
      if (this.isPromoted) return kv.put(bytes, call, 0, bytesOf);
      const request = decode(hot.decodePutRequest, bytes);
      checkPut(request);
      return this.write(PUTS, request, bytes, call);
    });
    server.register(DELETE_RANGE, 'unary', (bytes, call) => {
      if (this.isPromoted) return kv.deleteRange(bytes, call, 0, bytesOf);
      const request = decode(hot.decodeDeleteRangeRequest, bytes);
      checkDeleteRange(request);
      return this.write(RANGE_DELETES, request, bytes, call);
    });
    server.register(TXN, 'unary', (bytes, call) =>
      this.isPromoted ? kv.txn(bytes, call, 0, bytesOf) : this.txn(bytes, call),
    );
  }

  /** Calls of other nodes: reads that wait for a revision; writes are none of theirs. */
  passedOn(
    method: string,
    bytes: Buffer,
    call: CallContext,
    hops: number,
  ): Promise<Answer> | undefined {
    if (method === READ_AT) {
      return this.readAt(decodeRead(bytes), call, hops).then((answer) => ({ answer, index: 0 }));
    }
    if (this.isPromoted) return undefined;
    const isWrite =
      WRITES.has(method) || (method === TXN && !isReadOnly(decode(hot.decodeTxnRequest, bytes)));
    return isWrite ? this.writePassedOn(method, bytes, call, hops) : undefined;
  }

  /** Another node may have heard of a promotion before this one has. */
  private async writePassedOn(
    method: string,
    bytes: Buffer,
    call: CallContext,
    hops: number,
  ): Promise<Answer> {
    const { catalog, kv } = this.parts;
    await withStatus(catalog.barrier(catalog.deadline(CATALOG_TIMEOUT_MS)));
    const passed = this.isPromoted && kv.passedOn(method, bytes, call, hops);
    if (!passed) throw writesGoElsewhere();
    return passed;
  }

  streamPassedOn(
    method: string,
    bytes: Buffer,
    call: CallContext,
    sink: MessageSink,
    hops: number,
  ): Promise<void> | undefined {
    return method === READ_AT ? this.streamAt(decodeRead(bytes), call, sink, hops) : undefined;
  }

  /** Then it answers as a leader cluster does, and no write goes anywhere else. */
  private get isPromoted(): boolean {
    return this.parts.catalog.state.cluster.promoted;
  }

  private range(bytes: Buffer, call: CallContext): Uint8Array | Promise<Uint8Array> {
    const request = decode(hot.decodeRangeRequest, bytes);
    checkRange(request);
    return this.read(RANGE, request.table, bytes, call, () => this.parts.kv.range(bytes, call, 0));
  }

  private async txn(bytes: Buffer, call: CallContext): Promise<Uint8Array> {
    const request = decode(hot.decodeTxnRequest, bytes);
    checkTxn(request);
    if (!isReadOnly(request)) return this.write(TXNS, request, bytes, call);
    return this.read(TXN, request.table, bytes, call, () =>
      this.parts.kv.txn(bytes, call, 0, ({ answer }) => answer),
    );
  }

  /** In the same tick where a copy is here and new enough. */
  private read(
    method: string,
    table: Buffer,
    request: Buffer,
    call: CallContext,
    here: () => Uint8Array | Promise<Uint8Array>,
  ): Uint8Array | Promise<Uint8Array> {
    const minRevision = minRevisionOf(call.metadata);
    const copy = this.parts.router.serving(table);
    if (copy && copy.machine.state.leaderIndex >= minRevision) {
      this.tell(copy, call);
      return here();
    }
    const read = { table, minRevision, leaderTableId: 0, method, request };
    return this.readAt(read, call, 0).then((bytes) => {
      const { copy: at, answer } = splitAnswer(bytes);
      tellLag(call, at);
      return answer;
    });
  }

  private async iterateRange(bytes: Buffer, call: CallContext, sink: MessageSink): Promise<void> {
    const request = decode(hot.decodeRangeRequest, bytes);
    checkIterateRange(request);
    const minRevision = minRevisionOf(call.metadata);
    const { router, kv } = this.parts;
    const { table } = request;
    const read = { table, minRevision, leaderTableId: 0, method: ITERATE_RANGE, request: bytes };
    const deadlineMs = this.deadline(call);
    if (!router.serving(table)) {
      const routed = { table, method: READ_AT, request: encodeRead(read), hops: 0, deadlineMs };
      const remote = await router.remoteStream(routed);
      if (remote) return this.passStream(remote, call, sink);
    }
    const copy = await this.copyAt(read, deadlineMs, call.signal);
    this.tell(copy, call);
    await kv.iterateRange(bytes, call, sink, 0);
  }

  /** The first message of another node says how far behind it is. */
  private async passStream(
    remote: AsyncIterable<Buffer>,
    call: CallContext,
    sink: MessageSink,
  ): Promise<void> {
    let isFirst = true;
    for await (const message of remote) {
      if (isFirst) tellLag(call, splitAnswer(message).copy);
      else await sink.write(message);
      isFirst = false;
    }
  }

  /** By the copy here, or passed on once more; the answer begins with how far behind the copy is. */
  private async readAt(read: PassedRead, call: CallContext, hops: number): Promise<Uint8Array> {
    const { router, kv, lags, copies } = this.parts;
    const deadlineMs = this.deadline(call);
    const { table, method } = read;
    const routed = { table, method: READ_AT, request: encodeRead(read), hops, deadlineMs };
    return router.read(routed, async () => {
      if (method === '') return encodeShown(await this.waited({ ...wantedBy(read), deadlineMs }));
      // Nobody hears that the caller of another node gave up: all of them share one signal.
      const signal = hops === 0 ? call.signal : undefined;
      const copy = await this.copyAt(read, deadlineMs, signal);
      const lag = encodeLag(lags.of(copy.id, copies.positionOf(copy).revision));
      const request = Buffer.from(
        read.request.buffer,
        read.request.byteOffset,
        read.request.length,
      );
      const passed = kv.passedOn(method, request, call, hops);
      if (!passed) throw new GrpcStatusError(status.UNIMPLEMENTED, `no reads by ${method}`);
      return Buffer.concat([lag, (await passed).answer]);
    });
  }

  private async streamAt(
    read: PassedRead,
    call: CallContext,
    sink: MessageSink,
    hops: number,
  ): Promise<void> {
    const { router, kv, lags, copies } = this.parts;
    if (!router.serving(read.table)) throw notReady();
    const copy = await this.copyAt(read, this.deadline(call), call.signal);
    await sink.write(encodeLag(lags.of(copy.id, copies.positionOf(copy).revision)));
    const request = Buffer.from(read.request.buffer, read.request.byteOffset, read.request.length);
    await kv.iterateRange(request, call, sink, hops);
  }

  /** The copy here once it has the revision. */
  private async copyAt(
    read: PassedRead,
    deadlineMs: number,
    signal?: AbortSignal,
  ): Promise<RunningTable> {
    const { router, copies } = this.parts;
    const wanted = wantedBy(read);
    if (wanted.revision > 0 && !copies.hasReached(wanted)) {
      const shown = await this.waited({ ...wanted, deadlineMs, ...(signal && { signal }) });
      if (shown.kind === 'late') throw notHereInTime(wanted.revision, shown.revision);
    }
    const copy = router.serving(read.table);
    if (!copy) throw notReady();
    return copy;
  }

  private async waited(wanted: WantedCopy): Promise<Shown> {
    const { copies } = this.parts;
    const leave = copies.waits.takePlace();
    if (!leave) throw busy();
    try {
      return await copies.shown(wanted);
    } finally {
      leave();
    }
  }

  /** What is wrong is told before it costs a way to the leader cluster. */
  private async write<R extends { readonly table: Buffer }>(
    kind: WriteKind<R>,
    request: R,
    bytes: Buffer,
    call: CallContext,
  ): Promise<Uint8Array> {
    const { catalog, copies, writes } = this.parts;
    const known = catalog.state.tables.get(request.table.toString());
    // A table that is not known here may be new there: then it says what is wrong.
    if (known) kind.checkSizes(request);
    if (known && !known.source) throw ownTable();
    const leave = copies.waits.takePlace();
    if (!leave) throw busy();
    try {
      const { signal } = call;
      const deadlineMs = this.deadline(call);
      const { method } = kind;
      const answer = await writes.write({ method, request: bytes, deadlineMs, signal });
      const wanted = { table: request.table, ...headerOf(answer), deadlineMs, signal };
      // Regatta does not say at which revision a Txn without responses was done.
      if (wanted.revision > 0) await this.confirmed(wanted);
      return answer;
    } finally {
      leave();
    }
  }

  /** Whatever goes wrong from here on, the write is done, and its caller has to know. */
  private async confirmed(wanted: WantedCopy): Promise<void> {
    const { copies, writes } = this.parts;
    let shown: Shown;
    try {
      shown = await copies.shown(wanted);
    } catch (cause) {
      writes.counters.unconfirmed++;
      throw notSeenHere(wanted.revision, undefined, cause);
    }
    if (shown.kind === 'there') return;
    writes.counters.unconfirmed++;
    throw notSeenHere(wanted.revision, shown.revision);
  }

  private tell(copy: RunningTable, call: CallContext): void {
    const { lags, copies } = this.parts;
    tellLag(call, lags.of(copy.id, copies.positionOf(copy).revision));
  }

  /** The caller's, less what the answer needs; on the clock of the node. */
  private deadline(call: CallContext): number {
    const { runtime } = this.parts;
    if (call.deadline === undefined) return runtime.deadline(CALL_TIMEOUT_MS);
    const leftMs = Math.min(call.deadline - runtime.clock.wallMs(), CALL_TIMEOUT_MAX_MS);
    return runtime.deadline(leftMs - Math.min(ANSWER_MS_MAX, leftMs * ANSWER_SHARE));
  }
}

function wantedBy({ table, minRevision, leaderTableId }: PassedRead) {
  return { table, revision: minRevision, leaderTableId };
}

function ownTable(): GrpcStatusError {
  const text = 'the table is no copy of a table of the leader cluster';
  return new GrpcStatusError(status.FAILED_PRECONDITION, text);
}

function writesGoElsewhere(): GrpcStatusError {
  const text = 'nodes of a follower cluster write in the leader cluster';
  return new GrpcStatusError(status.UNIMPLEMENTED, text);
}
