/**
 * The KV API over bytes: decode, check, read or propose, answer.
 *
 *   Range        one page; in the same tick where a replica is here and it may be stale
 *   IterateRange pages of one point in time, as fast as the reader takes them
 *   Put, DeleteRange, Txn   one log entry; a Txn that only reads is a linearizable read
 *
 * What this node cannot answer is passed on, and what others pass on comes in by `passedOn`. Handlers
 * are bound to the server directly: nothing stands between them and the bytes.
 */
import { type CallContext, type GrpcServer, type MessageSink } from '@flotilla/grpc';
import { type PackedPages, type PackedQuery } from '@flotilla/mvcc';
import { hot, type mvccV1, type regattaV1 } from '@flotilla/proto';
import { type NodeRuntime } from '../node/node-runtime.js';
import {
  mayTryAgain,
  type Answer,
  type RoutedCall,
  type TableRouter,
} from '../routing/table-router.js';
import { type RunningTable } from '../tables/table-registry.js';
import { rangeAnswer, txnAnswer } from './answers.js';
import { asError, malformed, notReady, toStatus } from './errors.js';
import {
  answerOf,
  DELETE_RANGE,
  ITERATE_RANGE,
  PUT,
  PUTS,
  RANGE,
  RANGE_DELETES,
  TXN,
  TXNS,
  type WriteKind,
} from './kv-methods.js';
import { OPERATION_TIMEOUT_MS, STREAM_PAGE_BYTES_MAX } from './limits.js';
import { withinStallLimit } from './reader-stall.js';
import { PointReads } from './point-reads.js';
import { SlicedReads } from './sliced-reads.js';
import {
  checkDeleteRange,
  checkIterateRange,
  checkKeySizes,
  checkPut,
  checkRange,
  checkTxn,
  checkTxnSizes,
} from './validation.js';

/** What a caller of this node, or another node, is given of an answer. */
type Shape<T> = (answer: Answer) => T;

export class KvService {
  private readonly reads: SlicedReads;
  private readonly points = new PointReads();

  constructor(
    private readonly runtime: NodeRuntime,
    private readonly router: TableRouter,
  ) {
    this.reads = new SlicedReads(runtime.clock);
  }

  register(server: GrpcServer): void {
    server.register(RANGE, 'unary', (bytes, call) => this.range(bytes, call, 0));
    server.register(ITERATE_RANGE, 'server-stream', (bytes, call, sink) =>
      this.iterateRange(bytes, call, sink, 0),
    );
    server.register(PUT, 'unary', (bytes, call) => this.put(bytes, call, 0, bytesOf));
    server.register(DELETE_RANGE, 'unary', (bytes, call) =>
      this.deleteRange(bytes, call, 0, bytesOf),
    );
    server.register(TXN, 'unary', (bytes, call) => this.txn(bytes, call, 0, bytesOf));
  }

  /** A call that another node passed on; undefined if it is none of this API. */
  passedOn(
    method: string,
    bytes: Buffer,
    call: CallContext,
    hops: number,
  ): Promise<Answer> | undefined {
    switch (method) {
      case RANGE:
        return Promise.resolve(this.range(bytes, call, hops)).then(reading);
      case PUT:
        return this.put(bytes, call, hops, asItIs);
      case DELETE_RANGE:
        return this.deleteRange(bytes, call, hops, asItIs);
      case TXN:
        return this.txn(bytes, call, hops, asItIs);
      default:
        return undefined;
    }
  }

  /** The same for a call that is answered by a stream. */
  streamPassedOn(
    method: string,
    bytes: Buffer,
    call: CallContext,
    sink: MessageSink,
    hops: number,
  ): Promise<void> | undefined {
    return method === ITERATE_RANGE ? this.iterateRange(bytes, call, sink, hops) : undefined;
  }

  range(bytes: Buffer, call: CallContext, hops: number): Uint8Array | Promise<Uint8Array> {
    this.runtime.calls++;
    const request = decode(hot.decodeRangeRequest, bytes);
    checkRange(request);
    const table = this.router.serving(request.table);
    if (table) {
      checkKeySizes(request);
      const answer = this.rangeFrom(table, request, call);
      if (!(answer instanceof Promise)) return answer;
      return answer.catch((error: unknown) => {
        if (!this.router.isReplaced(table, error)) throw error;
        return this.rangeAnywhere(request, bytes, call, hops);
      });
    }
    return this.rangeAnywhere(request, bytes, call, hops);
  }

  private async rangeAnywhere(
    request: regattaV1.RangeRequest,
    bytes: Buffer,
    call: CallContext,
    hops: number,
  ): Promise<Uint8Array> {
    const routed = this.routed(RANGE, request, bytes, call, hops);
    await this.known(routed);
    checkKeySizes(request);
    return this.router.read(routed, (from) => this.rangeFrom(from, request, call));
  }

  async iterateRange(
    bytes: Buffer,
    call: CallContext,
    sink: MessageSink,
    hops: number,
  ): Promise<void> {
    this.runtime.calls++;
    const request = decode(hot.decodeRangeRequest, bytes);
    checkIterateRange(request);
    const routed = this.routed(ITERATE_RANGE, request, bytes, call, hops);
    await this.known(routed);
    checkKeySizes(request);
    const remote = await this.router.remoteStream(routed);
    if (remote) {
      for await (const message of remote) {
        const behind = sink.write(message);
        if (behind) await withinStallLimit(this.runtime.clock, behind);
      }
      return;
    }
    const { table, view } = await this.viewOf(request, call);
    await this.reads.holding(view, () => this.stream(table, view, call, sink));
  }

  /** Of the table that has the name when it is opened: another one may take it over meanwhile. */
  private async viewOf(
    request: regattaV1.RangeRequest,
    call: CallContext,
  ): Promise<{ readonly table: RunningTable; readonly view: PackedPages }> {
    for (;;) {
      const table = this.router.serving(request.table);
      if (!table) throw notReady();
      try {
        if (request.linearizable) await this.afterBarrier(table, call, () => undefined);
        const query = { ...rangeQuery(request), pageBytesMax: STREAM_PAGE_BYTES_MAX };
        return { table, view: table.machine.iteratePacked(query) };
      } catch (error) {
        if (!this.router.isReplaced(table, error)) throw error;
      }
    }
  }

  /** `shape` makes of the answer what the caller gives on. */
  put<T>(bytes: Buffer, call: CallContext, hops: number, shape: Shape<T>): Promise<T> {
    this.runtime.calls++;
    const request = decode(hot.decodePutRequest, bytes);
    checkPut(request);
    return this.write(PUTS, request, bytes, call, hops, shape);
  }

  deleteRange<T>(bytes: Buffer, call: CallContext, hops: number, shape: Shape<T>): Promise<T> {
    this.runtime.calls++;
    const request = decode(hot.decodeDeleteRangeRequest, bytes);
    checkDeleteRange(request);
    return this.write(RANGE_DELETES, request, bytes, call, hops, shape);
  }

  txn<T>(bytes: Buffer, call: CallContext, hops: number, shape: Shape<T>): Promise<T> {
    this.runtime.calls++;
    const request = decode(hot.decodeTxnRequest, bytes);
    checkTxn(request);
    if (!isReadOnly(request)) return this.write(TXNS, request, bytes, call, hops, shape);
    const routed = this.routed(TXN, request, bytes, call, hops);
    return this.readTxn(request, routed, call).then(reading).then(shape);
  }

  private async readTxn(
    request: regattaV1.TxnRequest,
    routed: RoutedCall,
    call: CallContext,
  ): Promise<Uint8Array> {
    await this.known(routed);
    checkTxnSizes(request);
    return this.router.read(routed, (table) =>
      this.afterBarrier(table, call, () =>
        this.reads.txn(table, request, call, (result) => txnAnswer(table.header.ofRead(), result)),
      ),
    );
  }

  private rangeFrom(
    table: RunningTable,
    request: regattaV1.RangeRequest,
    call: CallContext,
  ): Uint8Array | Promise<Uint8Array> {
    if (!request.linearizable) return this.rangeNow(table, request, call);
    return this.afterBarrier(table, call, () => this.rangeNow(table, request, call));
  }

  private rangeNow(
    table: RunningTable,
    request: regattaV1.RangeRequest,
    call: CallContext,
  ): Uint8Array | Promise<Uint8Array> {
    const query = rangeQuery(request);
    if (query.rangeEnd !== undefined) return this.reads.range(table, query, call);
    const page = table.machine.keptPage(query);
    return page ? rangeAnswer(table.header.ofRead(), page) : this.points.read(table, query);
  }

  /**
   * One log entry. Where this replica leads, it goes there at once, and the answer is made in the tick
   * in which the entry is applied; what was refused before it was written is tried like all the others.
   */
  private write<R extends { readonly table: Buffer }, T>(
    kind: WriteKind<R>,
    request: R,
    bytes: Buffer,
    call: CallContext,
    hops: number,
    shape: Shape<T>,
  ): Promise<T> {
    const routed = this.routed(kind.method, request, bytes, call, hops);
    const table = this.router.leading(request.table);
    if (!table || this.router.isCopy(table)) {
      return this.writeAnywhere(kind, request, routed, shape);
    }
    kind.checkSizes(request);
    const command = kind.command(request);
    return new Promise((resolve, reject) => {
      table.group.submit(command, routed.deadlineMs, {
        resolve: (done) => {
          // Whatever goes wrong with an answer concerns its caller alone, never the group.
          try {
            resolve(shape(answerOf(kind, table, done)));
          } catch (error) {
            reject(asError(error));
          }
        },
        reject: (error) => {
          const mayGoOn = mayTryAgain(error) || this.router.isReplaced(table, error);
          if (!mayGoOn) reject(asError(toStatus(error)));
          else this.writeAnywhere(kind, request, routed, shape).then(resolve, reject);
        },
      });
    });
  }

  private async writeAnywhere<R extends { readonly table: Buffer }, T>(
    kind: WriteKind<R>,
    request: R,
    routed: RoutedCall,
    shape: Shape<T>,
  ): Promise<T> {
    await this.known(routed);
    kind.checkSizes(request);
    const done = await this.router.write(routed, async (table) => {
      // Its log belongs to a leader cluster until it is taken over, which is a matter of moments.
      if (this.router.isCopy(table)) throw notReady();
      return answerOf(
        kind,
        table,
        await table.group.propose(kind.command(request), routed.deadlineMs),
      );
    });
    return shape(done);
  }

  private async stream(
    table: RunningTable,
    view: PackedPages,
    call: CallContext,
    sink: MessageSink,
  ): Promise<void> {
    for (;;) {
      const page = await this.reads.page(view, call);
      if (!page || call.cancelled) return;
      const behind = sink.write(page.answer(table));
      if (behind) await withinStallLimit(this.runtime.clock, behind);
      // A whole range must not hold the loop: others take their turn between two pages.
      else await this.runtime.clock.turn();
      if (!page.more) return;
    }
  }

  private routed(
    method: string,
    request: { readonly table: Buffer },
    bytes: Buffer,
    call: CallContext,
    hops: number,
  ): RoutedCall {
    const deadlineMs = this.deadline(call);
    return { table: request.table, method, request: bytes, hops, deadlineMs };
  }

  /** Whether there is such a table is said before whether the sizes are right. */
  private async known({ table, deadlineMs }: RoutedCall): Promise<void> {
    if (!this.router.serving(table)) await this.router.lookUp(table, deadlineMs);
  }

  /** Reads once the state here is new enough: at once where nobody has to be asked. */
  private afterBarrier<T>(
    table: RunningTable,
    call: CallContext,
    read: () => T | Promise<T>,
  ): T | Promise<T> {
    if (table.group.isCurrent) return read();
    return table.group.readBarrier(this.deadline(call)).then(read, rethrown);
  }

  /** The caller's deadline where there is one, on the clock of the host. */
  private deadline(call: CallContext): number {
    const timeoutMs =
      call.deadline === undefined ? Infinity : call.deadline - this.runtime.clock.wallMs();
    return this.runtime.deadline(Math.min(timeoutMs, OPERATION_TIMEOUT_MS));
  }
}

function reading(answer: Uint8Array): Answer {
  return { answer, index: 0 };
}

/** What a caller of this node is given of an answer. */
export function bytesOf({ answer }: Answer): Uint8Array {
  return answer;
}

function asItIs(answer: Answer): Answer {
  return answer;
}

function rethrown(error: unknown): never {
  throw toStatus(error);
}

/** What is decoded has views of the bytes, which must stay as they are until it is answered. */
export function decode<T>(codec: (bytes: Buffer) => T, bytes: Buffer): T {
  try {
    return codec(bytes);
  } catch (error) {
    throw malformed(error);
  }
}

function rangeQuery(request: regattaV1.RangeRequest): PackedQuery {
  return {
    key: request.key,
    rangeEnd: request.rangeEnd.length > 0 ? request.rangeEnd : undefined,
    limit: toLimit(request.limit),
    keysOnly: request.keysOnly,
    countOnly: request.countOnly,
  };
}

/** More than can be counted is no limit. */
function toLimit(limit: bigint): number {
  return limit > BigInt(Number.MAX_SAFE_INTEGER) ? 0 : Number(limit);
}

/** Nothing but range operations in both branches: nothing to write, whatever the compares say. */
export function isReadOnly(request: regattaV1.TxnRequest): boolean {
  const reads = (op: mvccV1.RequestOp) => op.request?.$case === 'requestRange';
  return request.success.every(reads) && request.failure.every(reads);
}
