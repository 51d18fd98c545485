/**
 * The KV API over bytes: decode, check, read or propose, answer.
 *
 *   Range        one page; in the same tick unless it has to be linearizable
 *   IterateRange pages of one point in time, as fast as the reader takes them
 *   Put, DeleteRange, Txn   one log entry; a Txn that only reads is a linearizable read
 *
 * Handlers are bound to the server directly: nothing stands between them and the bytes.
 */
import {
  type CallContext,
  type GrpcServer,
  GrpcStatusError,
  type MessageSink,
} from '@flotilla/grpc';
import { status } from '@flotilla/grpc';
import { type ApplyResult, type RangeQuery, type TableIterator } from '@flotilla/mvcc';
import { mvccV1, regattaV1 } from '@flotilla/proto';
import { type NodeRuntime } from '../node/node-runtime.js';
import { type RunningTable, type TableRegistry } from '../tables/table-registry.js';
import { deleteRangeAnswer, header, putAnswer, rangeAnswer, txnAnswer } from './answers.js';
import { deleteRangeCommand, putCommand, txnCommand } from './commands.js';
import { malformed, tableNotFound, toStatus } from './errors.js';
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

interface Codec<T> {
  decode(bytes: Uint8Array): T;
}

export class KvService {
  private openViews = 0;

  constructor(
    private readonly runtime: NodeRuntime,
    private readonly tables: TableRegistry,
  ) {}

  register(server: GrpcServer): void {
    const path = (method: string) => `/${KV_SERVICE}/${method}`;
    server.register(path('Range'), 'unary', (bytes, call) => this.range(bytes, call));
    server.register(path('IterateRange'), 'server-stream', (bytes, call, sink) =>
      this.iterateRange(bytes, call, sink),
    );
    server.register(path('Put'), 'unary', (bytes, call) => this.put(bytes, call));
    server.register(path('DeleteRange'), 'unary', (bytes, call) => this.deleteRange(bytes, call));
    server.register(path('Txn'), 'unary', (bytes, call) => this.txn(bytes, call));
  }

  range(bytes: Buffer, call: CallContext): Uint8Array | Promise<Uint8Array> {
    const request = decode(regattaV1.RangeRequest, bytes);
    checkRange(request);
    const table = this.table(request.table);
    checkKeySizes(request);
    const answer = () => rangeAnswer(this.header(table), table.machine.range(rangeQuery(request)));
    return request.linearizable ? this.afterBarrier(table, call, answer) : answer();
  }

  async iterateRange(bytes: Buffer, call: CallContext, sink: MessageSink): Promise<void> {
    const request = decode(regattaV1.RangeRequest, bytes);
    checkIterateRange(request);
    const table = this.table(request.table);
    checkKeySizes(request);
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

  async put(bytes: Buffer, call: CallContext): Promise<Uint8Array> {
    const request = decode(regattaV1.PutRequest, bytes);
    checkPut(request);
    const table = this.table(request.table);
    checkPutSizes(request);
    const result = await this.propose(table, putCommand(request), call);
    return putAnswer(this.header(table, result.revision), result.responses);
  }

  async deleteRange(bytes: Buffer, call: CallContext): Promise<Uint8Array> {
    const request = decode(regattaV1.DeleteRangeRequest, bytes);
    checkDeleteRange(request);
    const table = this.table(request.table);
    checkKeySizes(request);
    const result = await this.propose(table, deleteRangeCommand(request), call);
    return deleteRangeAnswer(this.header(table, result.revision), result.responses);
  }

  async txn(bytes: Buffer, call: CallContext): Promise<Uint8Array> {
    const request = decode(regattaV1.TxnRequest, bytes);
    checkTxn(request);
    const table = this.table(request.table);
    checkTxnSizes(request);
    if (isReadOnly(request)) {
      return this.afterBarrier(table, call, () => {
        const { compare, success, failure } = request;
        const result = table.machine.evaluateReadOnlyTxn({ compare, success, failure });
        return txnAnswer(this.header(table), result);
      });
    }
    const result = await this.propose(table, txnCommand(request), call);
    return txnAnswer(this.header(table, result.revision), result);
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
      if (behind) await withinStallLimit(behind);
      // A whole range must not hold the loop: others take their turn between two pages.
      else await new Promise(setImmediate);
      if (!page.more) return;
    }
  }

  private table(name: Buffer): RunningTable {
    const table = this.tables.find(name);
    if (!table) throw tableNotFound();
    return table;
  }

  private header(table: RunningTable, revision = 0): regattaV1.ResponseHeader {
    return header(table, this.runtime.host.nodeId, revision);
  }

  private async propose(
    table: RunningTable,
    command: Uint8Array,
    call: CallContext,
  ): Promise<ApplyResult> {
    try {
      return (await table.group.propose(command, this.deadline(call))).result;
    } catch (error) {
      throw toStatus(error);
    }
  }

  private async afterBarrier<T>(table: RunningTable, call: CallContext, read: () => T): Promise<T> {
    try {
      await table.group.readBarrier(this.deadline(call));
    } catch (error) {
      throw toStatus(error);
    }
    return read();
  }

  /** The caller's deadline where there is one, on the clock of the host. */
  private deadline(call: CallContext): number {
    const timeoutMs = call.deadline === undefined ? Infinity : call.deadline - Date.now();
    return this.runtime.deadline(Math.min(timeoutMs, OPERATION_TIMEOUT_MS));
  }
}

function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  try {
    return codec.decode(bytes);
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

/** Waits for a reader that is behind, but not for ever: its view keeps old data on disk. */
async function withinStallLimit(behind: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const message = `the reader took nothing for ${READER_STALL_MS} ms`;
      reject(new GrpcStatusError(status.DEADLINE_EXCEEDED, message));
    }, READER_STALL_MS);
  });
  try {
    await Promise.race([behind, stalled]);
  } finally {
    clearTimeout(timer);
  }
}
