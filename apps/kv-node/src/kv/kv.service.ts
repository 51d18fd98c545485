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
import {
  type CallContext,
  type GrpcServer,
  GrpcStatusError,
  type MessageSink,
} from '@flotilla/grpc';
import { status } from '@flotilla/grpc';
import { type ApplyResult, type RangeQuery, type TableIterator } from '@flotilla/mvcc';
import { hot, type mvccV1, type regattaV1 } from '@flotilla/proto';
import { type Cancel } from '../node/node-clock.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { type Answer, type RoutedCall, type TableRouter } from '../routing/table-router.js';
import { type RunningTable } from '../tables/table-registry.js';
import { deleteRangeAnswer, header, putAnswer, rangeAnswer, txnAnswer } from './answers.js';
import { deleteRangeCommand, putCommand, txnCommand } from './commands.js';
import { malformed, notReady, toStatus } from './errors.js';
import {
  OPEN_VIEWS_MAX,
  OPERATION_TIMEOUT_MS,
  READER_STALL_MS,
  STREAM_PAGE_BYTES_MAX,
} from './limits.js';
import {
  checkDeleteRange,
  checkIterateRange,
  checkKeySizes,
  checkPut,
  checkPutSizes,
  checkRange,
  checkTxn,
  checkTxnSizes,
} from './validation.js';

export const KV_SERVICE = 'regatta.v1.KV';

/** Methods that another node may pass on, by path. */
const path = (method: string): string => `/${KV_SERVICE}/${method}`;
const RANGE = path('Range');
const ITERATE_RANGE = path('IterateRange');
const PUT = path('Put');
const DELETE_RANGE = path('DeleteRange');
const TXN = path('Txn');

export class KvService {
  private openViews = 0;

  constructor(
    private readonly runtime: NodeRuntime,
    private readonly router: TableRouter,
  ) {}

  register(server: GrpcServer): void {
    server.register(RANGE, 'unary', (bytes, call) => this.range(bytes, call, 0));
    server.register(ITERATE_RANGE, 'server-stream', (bytes, call, sink) =>
      this.iterateRange(bytes, call, sink, 0),
    );
    const write = (method: string, handle: (bytes: Buffer, call: CallContext) => Promise<Answer>) =>
      server.register(method, 'unary', async (bytes, call) => (await handle(bytes, call)).answer);
    write(PUT, (bytes, call) => this.put(bytes, call, 0));
    write(DELETE_RANGE, (bytes, call) => this.deleteRange(bytes, call, 0));
    write(TXN, (bytes, call) => this.txn(bytes, call, 0));
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
        return this.put(bytes, call, hops);
      case DELETE_RANGE:
        return this.deleteRange(bytes, call, hops);
      case TXN:
        return this.txn(bytes, call, hops);
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
    const request = decode(hot.decodeRangeRequest, bytes);
    checkRange(request);
    const table = this.router.serving(request.table);
    const answer = (from: RunningTable) =>
      rangeAnswer(this.header(from), from.machine.range(rangeQuery(request)));
    const read = (from: RunningTable) =>
      request.linearizable ? this.afterBarrier(from, call, () => answer(from)) : answer(from);
    if (table) {
      checkKeySizes(request);
      return read(table);
    }
    const routed = this.routed(RANGE, request, bytes, call, hops);
    return this.known(routed).then(() => {
      checkKeySizes(request);
      return this.router.read(routed, read);
    });
  }

  async iterateRange(
    bytes: Buffer,
    call: CallContext,
    sink: MessageSink,
    hops: number,
  ): Promise<void> {
    const request = decode(hot.decodeRangeRequest, bytes);
    checkIterateRange(request);
    const routed = this.routed(ITERATE_RANGE, request, bytes, call, hops);
    await this.known(routed);
    checkKeySizes(request);
    const remote = await this.router.remoteStream(routed);
    if (remote) {
      for await (const message of remote) {
        const behind = sink.write(message);
        if (behind) await this.withinStallLimit(behind);
      }
      return;
    }
    const table = this.router.serving(request.table);
    if (!table) throw notReady();
    if (request.linearizable) await this.afterBarrier(table, call, () => undefined);
    if (this.openViews >= OPEN_VIEWS_MAX) {
      throw new GrpcStatusError(status.UNAVAILABLE, 'system is too busy try again later');
    }
    this.openViews++;
    const query = { ...rangeQuery(request), pageBytesMax: STREAM_PAGE_BYTES_MAX };
    const view = table.machine.iterate(query);
    try {
      await this.stream(table, view, call, sink);
    } finally {
      view.close();
      this.openViews--;
    }
  }

  async put(bytes: Buffer, call: CallContext, hops: number): Promise<Answer> {
    const request = decode(hot.decodePutRequest, bytes);
    checkPut(request);
    const routed = this.routed(PUT, request, bytes, call, hops);
    await this.known(routed);
    checkPutSizes(request);
    return this.router.write(routed, async (table) => {
      const result = await this.propose(table, putCommand(request), routed);
      return written(putAnswer(this.header(table, result.revision), result.responses), result);
    });
  }

  async deleteRange(bytes: Buffer, call: CallContext, hops: number): Promise<Answer> {
    const request = decode(hot.decodeDeleteRangeRequest, bytes);
    checkDeleteRange(request);
    const routed = this.routed(DELETE_RANGE, request, bytes, call, hops);
    await this.known(routed);
    checkKeySizes(request);
    return this.router.write(routed, async (table) => {
      const result = await this.propose(table, deleteRangeCommand(request), routed);
      const head = this.header(table, result.revision);
      return written(deleteRangeAnswer(head, result.responses), result);
    });
  }

  async txn(bytes: Buffer, call: CallContext, hops: number): Promise<Answer> {
    const request = decode(hot.decodeTxnRequest, bytes);
    checkTxn(request);
    const routed = this.routed(TXN, request, bytes, call, hops);
    await this.known(routed);
    checkTxnSizes(request);
    if (isReadOnly(request)) {
      const { compare, success, failure } = request;
      const answer = await this.router.read(routed, (table) =>
        this.afterBarrier(table, call, () => {
          const result = table.machine.evaluateReadOnlyTxn({ compare, success, failure });
          return txnAnswer(this.header(table), result);
        }),
      );
      return reading(answer);
    }
    return this.router.write(routed, async (table) => {
      const result = await this.propose(table, txnCommand(request), routed);
      return written(txnAnswer(this.header(table, result.revision), result), result);
    });
  }

  private async stream(
    table: RunningTable,
    view: TableIterator,
    call: CallContext,
    sink: MessageSink,
  ): Promise<void> {
    for (;;) {
      const page = view.next();
      if (!page || call.cancelled) return;
      const behind = sink.write(rangeAnswer(this.header(table), page));
      if (behind) await this.withinStallLimit(behind);
      // A whole range must not hold the loop: others take their turn between two pages.
      else await this.runtime.clock.turn();
      if (!page.more) return;
    }
  }

  private header(table: RunningTable, revision = 0): hot.HeaderFields {
    return header(table, this.runtime.host.nodeId, revision);
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

  private async propose(
    table: RunningTable,
    command: Uint8Array,
    { deadlineMs }: RoutedCall,
  ): Promise<ApplyResult> {
    return (await table.group.propose(command, deadlineMs)).result;
  }

  private async afterBarrier<T>(table: RunningTable, call: CallContext, read: () => T): Promise<T> {
    try {
      await table.group.readBarrier(this.deadline(call));
    } catch (error) {
      throw toStatus(error);
    }
    return read();
  }

  /** Waits for a reader that is behind, but not for ever: its view keeps old data on disk. */
  private async withinStallLimit(behind: Promise<void>): Promise<void> {
    let cancel: Cancel | undefined;
    const stalled = new Promise<never>((_, reject) => {
      cancel = this.runtime.clock.after(READER_STALL_MS, () => {
        const message = `the reader took nothing for ${READER_STALL_MS} ms`;
        reject(new GrpcStatusError(status.DEADLINE_EXCEEDED, message));
      });
    });
    try {
      await Promise.race([behind, stalled]);
    } finally {
      cancel?.();
    }
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

function written(answer: Uint8Array, { revision }: ApplyResult): Answer {
  return { answer, index: revision };
}

/** What is decoded has views of the bytes, which must stay as they are until it is answered. */
function decode<T>(codec: (bytes: Buffer) => T, bytes: Buffer): T {
  try {
    return codec(bytes);
  } catch (error) {
    throw malformed(error);
  }
}

function rangeQuery(request: regattaV1.RangeRequest): RangeQuery {
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
function isReadOnly(request: regattaV1.TxnRequest): boolean {
  const reads = (op: mvccV1.RequestOp) => op.request?.$case === 'requestRange';
  return request.success.every(reads) && request.failure.every(reads);
}
