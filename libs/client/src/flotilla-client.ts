/**
 * The client: typed calls over one or several endpoints.
 *
 *   request -> bytes -> current endpoint -> bytes -> answer
 *                 Unavailable: next endpoint, after a growing pause, while the deadline allows
 *
 * A read is tried again whenever a node was unavailable. A write is tried again only if it certainly
 * did not happen: the connection was never made, or the server says so. Otherwise the caller has to
 * decide.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createGrpcJsClient, type ClientTlsOptions, type GrpcClient } from '@flotilla/grpc';
import { regattaV1 as v1 } from '@flotilla/proto';
import { type ClientError, toClientError } from './client-error.js';
import { ClusterCalls } from './cluster-calls.js';
import { toBytes, toHeader, toKeyValue } from './convert.js';
import type {
  CallOptions,
  DeleteRangeAnswer,
  DeleteRangeRequest,
  PutAnswer,
  PutRequest,
  RangeAnswer,
  RangeRequest,
  TableInfo,
  TxnAnswer,
  TxnRequest,
} from './types.js';

export interface FlotillaClientOptions {
  /** `http://host:port`, `https://host:port` or `unix:///path`; tried in order. */
  readonly endpoints: readonly string[];
  readonly tls?: ClientTlsOptions;
  /** Sent as bearer token. */
  readonly token?: string;
  /** Default for every call. */
  readonly timeoutMs?: number;
}

/** How a call is made. */
export interface Codec<Request, Answer> {
  readonly path: string;
  readonly request: { encode(message: Request): { finish(): Uint8Array } };
  readonly answer: { decode(bytes: Uint8Array): Answer };
  /** Whether doing it twice is the same as doing it once. */
  readonly isRead: boolean;
}

const TIMEOUT_MS = 5_000;
const ATTEMPTS_MAX = 10;
/** A node that restarts is away for seconds: the next attempt must not be minutes off. */
const RECONNECT_MIN_MS = 50;
const RECONNECT_MAX_MS = 2_000;
const PAUSE_MS = 20;
const PAUSE_MS_MAX = 1_000;
/** What a channel says when it has nobody to talk to: nothing was sent then. */
const NEVER_SENT = /no connection established|ECONNREFUSED|ENOENT|EAI_AGAIN|ENOTFOUND/i;

const RANGE = { path: '/regatta.v1.KV/Range', request: v1.RangeRequest, answer: v1.RangeResponse };
const PUT = { path: '/regatta.v1.KV/Put', request: v1.PutRequest, answer: v1.PutResponse };
const DELETE = {
  path: '/regatta.v1.KV/DeleteRange',
  request: v1.DeleteRangeRequest,
  answer: v1.DeleteRangeResponse,
};
const TXN = { path: '/regatta.v1.KV/Txn', request: v1.TxnRequest, answer: v1.TxnResponse };
const ITERATE_PATH = '/regatta.v1.KV/IterateRange';
const TABLE_CREATE = {
  path: '/regatta.v1.Tables/Create',
  request: v1.CreateTableRequest,
  answer: v1.CreateTableResponse,
};
const TABLE_DELETE = {
  path: '/regatta.v1.Tables/Delete',
  request: v1.DeleteTableRequest,
  answer: v1.DeleteTableResponse,
};
const TABLE_LIST = {
  path: '/regatta.v1.Tables/List',
  request: v1.ListTablesRequest,
  answer: v1.ListTablesResponse,
};
const MEMBER_LIST = {
  path: '/regatta.v1.Cluster/MemberList',
  request: v1.MemberListRequest,
  answer: v1.MemberListResponse,
};
const STATUS = {
  path: '/regatta.v1.Cluster/Status',
  request: v1.StatusRequest,
  answer: v1.StatusResponse,
};

export class FlotillaClient {
  private readonly clients: readonly GrpcClient[];
  private readonly metadata: Readonly<Record<string, string>>;
  private current = 0;

  constructor(private readonly options: FlotillaClientOptions) {
    if (options.endpoints.length === 0) throw new Error('endpoints must name at least one');
    this.clients = options.endpoints.map((endpoint) =>
      createGrpcJsClient(endpoint, {
        reconnectMinMs: RECONNECT_MIN_MS,
        reconnectMaxMs: RECONNECT_MAX_MS,
        ...(options.tls && { tls: options.tls }),
      }),
    );
    this.metadata = options.token ? { authorization: `Bearer ${options.token}` } : {};
  }

  /** One page. */
  async range(request: RangeRequest, options?: CallOptions): Promise<RangeAnswer> {
    return toRangeAnswer(
      await this.call({ ...RANGE, isRead: true }, rangeMessage(request), options),
    );
  }

  /** All pages of a range as of one moment. Tried again elsewhere while no page has come. */
  async *iterateRange(request: RangeRequest, options?: CallOptions): AsyncIterable<RangeAnswer> {
    const bytes = v1.RangeRequest.encode(rangeMessage(request)).finish();
    const endMs = this.endMs(options);
    for (let attempt = 1; ; attempt++) {
      let isBegun = false;
      try {
        for await (const page of this.pages(bytes, options)) {
          isBegun = true;
          yield toRangeAnswer(v1.RangeResponse.decode(page));
        }
        return;
      } catch (thrown) {
        const error = toClientError(thrown);
        if (isBegun || !(await this.mayTryAgain(error, true, attempt, endMs))) throw error;
      }
    }
  }

  /** The deadline of a stream is that of the whole transfer: only an explicit one is set. */
  private pages(bytes: Uint8Array, options?: CallOptions): AsyncIterable<Buffer> {
    const deadlineMs = options?.timeoutMs;
    return this.client().serverStream(ITERATE_PATH, bytes, {
      metadata: this.metadata,
      ...(deadlineMs !== undefined && { deadlineMs }),
    });
  }

  async put(request: PutRequest, options?: CallOptions): Promise<PutAnswer> {
    const message = {
      table: toBytes(request.table),
      key: toBytes(request.key),
      value: toBytes(request.value),
      prevKv: request.prevKv ?? false,
    };
    const { header, prevKv } = await this.call({ ...PUT, isRead: false }, message, options);
    return { header: toHeader(header), prevKv: prevKv && toKeyValue(prevKv) };
  }

  async deleteRange(
    request: DeleteRangeRequest,
    options?: CallOptions,
  ): Promise<DeleteRangeAnswer> {
    const message = {
      table: toBytes(request.table),
      key: toBytes(request.key),
      rangeEnd: toBytes(request.rangeEnd),
      prevKv: request.prevKv ?? false,
      count: request.count ?? false,
    };
    const answer = await this.call({ ...DELETE, isRead: false }, message, options);
    return {
      header: toHeader(answer.header),
      deleted: Number(answer.deleted),
      prevKvs: answer.prevKvs.map(toKeyValue),
    };
  }

  async txn(request: TxnRequest, options?: CallOptions): Promise<TxnAnswer> {
    const message = { ...request, table: toBytes(request.table) };
    const answer = await this.call({ ...TXN, isRead: false }, message, options);
    const { header, succeeded, responses } = answer;
    return { header: toHeader(header), succeeded, responses };
  }

  /** Returns the id of the new table. */
  async createTable(name: string, options?: CallOptions): Promise<string> {
    const message = { name, config: undefined };
    return (await this.call({ ...TABLE_CREATE, isRead: false }, message, options)).id;
  }

  async deleteTable(name: string, options?: CallOptions): Promise<void> {
    await this.call({ ...TABLE_DELETE, isRead: false }, { name }, options);
  }

  async listTables(options?: CallOptions): Promise<readonly TableInfo[]> {
    const { tables } = await this.call({ ...TABLE_LIST, isRead: true }, {}, options);
    return tables.map(({ name, id }) => ({ name, id }));
  }

  memberList(options?: CallOptions): Promise<v1.MemberListResponse> {
    return this.call({ ...MEMBER_LIST, isRead: true }, {}, options);
  }

  status(withConfig = false, options?: CallOptions): Promise<v1.StatusResponse> {
    return this.call({ ...STATUS, isRead: true }, { config: withConfig }, options);
  }

  /** Looks at the nodes of the cluster, and changes them. */
  get cluster(): ClusterCalls {
    return new ClusterCalls((codec, message, options) => this.call(codec, message, options));
  }

  /** Idempotent. */
  close(): void {
    for (const client of this.clients) client.close();
  }

  private client(): GrpcClient {
    const client = this.clients[this.current % this.clients.length];
    if (!client) throw new Error('the client has no endpoint');
    return client;
  }

  private async call<Request, Answer>(
    codec: Codec<Request, Answer>,
    message: Request,
    options: CallOptions = {},
  ): Promise<Answer> {
    const bytes = codec.request.encode(message).finish();
    const endMs = this.endMs(options);
    for (let attempt = 1; ; attempt++) {
      const deadlineMs = Math.max(1, Math.ceil(endMs - performance.now()));
      try {
        const call = { deadlineMs, metadata: this.metadata };
        return codec.answer.decode(await this.client().unary(codec.path, bytes, call));
      } catch (thrown) {
        const error = toClientError(thrown);
        if (!(await this.mayTryAgain(error, codec.isRead, attempt, endMs))) throw error;
      }
    }
  }

  private endMs(options: CallOptions = {}): number {
    return performance.now() + (options.timeoutMs ?? this.options.timeoutMs ?? TIMEOUT_MS);
  }

  /** Turns to the next endpoint after a growing pause; false when there is no point or no time. */
  private async mayTryAgain(
    error: ClientError,
    isRead: boolean,
    attempt: number,
    endMs: number,
  ): Promise<boolean> {
    const pauseMs = Math.min(PAUSE_MS * 2 ** (attempt - 1), PAUSE_MS_MAX);
    const inTime = attempt < ATTEMPTS_MAX && performance.now() + pauseMs < endMs;
    if (!inTime || !mayRetry(error, isRead)) return false;
    this.current++;
    await sleep(pauseMs);
    return true;
  }
}

function mayRetry(error: ClientError, isRead: boolean): boolean {
  return error.retryable && (isRead || error.notExecuted || NEVER_SENT.test(error.message));
}

function rangeMessage(request: RangeRequest): v1.RangeRequest {
  return {
    table: toBytes(request.table),
    key: toBytes(request.key),
    rangeEnd: toBytes(request.rangeEnd),
    limit: BigInt(request.limit ?? 0),
    linearizable: request.linearizable ?? false,
    keysOnly: request.keysOnly ?? false,
    countOnly: request.countOnly ?? false,
    minModRevision: 0n,
    maxModRevision: 0n,
    minCreateRevision: 0n,
    maxCreateRevision: 0n,
  };
}

function toRangeAnswer(answer: v1.RangeResponse): RangeAnswer {
  const { header, kvs, more, count } = answer;
  return { header: toHeader(header), kvs: kvs.map(toKeyValue), more, count: Number(count) };
}
