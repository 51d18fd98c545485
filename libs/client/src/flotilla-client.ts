/**
 * The client: typed calls over one or several endpoints.
 *
 *   request -> bytes -> an endpoint that answers -> bytes -> answer
 *                 Unavailable: next endpoint, after a growing pause, while the deadline allows
 *
 * A read is tried again whenever a node was unavailable. A write is tried again only if it certainly
 * did not happen: it was never sent, or the server says so. Otherwise the caller has to decide.
 */
import type { ClientTlsOptions } from '@flotilla/grpc';
import { regattaV1 as v1 } from '@flotilla/proto';
import { Attempts } from './attempts.js';
import { type ClientError, toClientError } from './client-error.js';
import { ClusterCalls } from './cluster-calls.js';
import { rangeMessage, toBytes, toHeader, toKeyValue, toRangeAnswer } from './convert.js';
import type { Endpoint } from './endpoint.js';
import { Endpoints } from './endpoints.js';
import * as methods from './methods.js';
import { ReplicationCalls } from './replication-calls.js';
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

const TIMEOUT_MS = 5_000;

export class FlotillaClient {
  /** Looks at the nodes of the cluster, and changes them. */
  readonly cluster = new ClusterCalls((codec, message, options) =>
    this.call(codec, message, options),
  );
  /** Looks at how copies stand. */
  readonly replication = new ReplicationCalls((codec, message, options) =>
    this.call(codec, message, options),
  );
  private readonly endpoints: Endpoints;
  private readonly metadata: Readonly<Record<string, string>>;

  constructor(private readonly options: FlotillaClientOptions) {
    this.endpoints = new Endpoints(options.endpoints, options.tls);
    this.metadata = options.token ? { authorization: `Bearer ${options.token}` } : {};
  }

  /** One page. */
  async range(request: RangeRequest, options?: CallOptions): Promise<RangeAnswer> {
    return toRangeAnswer(await this.call(methods.RANGE, rangeMessage(request), options));
  }

  /** All pages of a range as of one moment. Another node is asked only until the first page. */
  async *iterateRange(request: RangeRequest, options?: CallOptions): AsyncIterable<RangeAnswer> {
    const { path, isRead } = methods.ITERATE_RANGE;
    const bytes = v1.RangeRequest.encode(rangeMessage(request)).finish();
    const attempts = new Attempts(this.endMs(options), isRead);
    let hasBegun = false;
    for (;;) {
      let endpoint: Endpoint | undefined;
      try {
        endpoint = await this.endpoints.pick(attempts.endMs);
        // The deadline of a stream is that of the whole transfer: only an explicit one is set.
        const deadlineMs = options?.timeoutMs === undefined ? undefined : attempts.leftMs;
        const call = { metadata: this.metadata, ...(deadlineMs !== undefined && { deadlineMs }) };
        for await (const page of endpoint.serverStream(path, bytes, call)) {
          hasBegun = true;
          yield toRangeAnswer(v1.RangeResponse.decode(page));
        }
        return;
      } catch (thrown) {
        const error = this.failed(thrown, endpoint);
        if (hasBegun) throw error;
        await attempts.another(error);
      }
    }
  }

  async put(request: PutRequest, options?: CallOptions): Promise<PutAnswer> {
    const message = {
      table: toBytes(request.table),
      key: toBytes(request.key),
      value: toBytes(request.value),
      prevKv: request.prevKv ?? false,
    };
    const { header, prevKv } = await this.call(methods.PUT, message, options);
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
    const answer = await this.call(methods.DELETE_RANGE, message, options);
    return {
      header: toHeader(answer.header),
      deleted: Number(answer.deleted),
      prevKvs: answer.prevKvs.map(toKeyValue),
    };
  }

  async txn(request: TxnRequest, options?: CallOptions): Promise<TxnAnswer> {
    const message = { ...request, table: toBytes(request.table) };
    const answer = await this.call(methods.TXN, message, options);
    const { header, succeeded, responses } = answer;
    return { header: toHeader(header), succeeded, responses };
  }

  /** Returns the id of the new table. */
  async createTable(name: string, options?: CallOptions): Promise<string> {
    const message = { name, config: undefined };
    return (await this.call(methods.TABLE_CREATE, message, options)).id;
  }

  async deleteTable(name: string, options?: CallOptions): Promise<void> {
    await this.call(methods.TABLE_DELETE, { name }, options);
  }

  async listTables(options?: CallOptions): Promise<readonly TableInfo[]> {
    const { tables } = await this.call(methods.TABLE_LIST, {}, options);
    return tables.map(({ name, id }) => ({ name, id }));
  }

  memberList(options?: CallOptions): Promise<v1.MemberListResponse> {
    return this.call(methods.MEMBER_LIST, {}, options);
  }

  status(withConfig = false, options?: CallOptions): Promise<v1.StatusResponse> {
    return this.call(methods.STATUS, { config: withConfig }, options);
  }

  /** Idempotent. */
  close(): void {
    this.endpoints.close();
  }

  private async call<Request, Answer>(
    codec: methods.Codec<Request, Answer>,
    message: Request,
    options?: CallOptions,
  ): Promise<Answer> {
    const bytes = codec.request.encode(message).finish();
    const attempts = new Attempts(this.endMs(options), codec.isRead);
    for (;;) {
      let endpoint: Endpoint | undefined;
      try {
        endpoint = await this.endpoints.pick(attempts.endMs);
        const call = { metadata: this.metadata, deadlineMs: attempts.leftMs };
        return codec.answer.decode(await endpoint.unary(codec.path, bytes, call));
      } catch (thrown) {
        await attempts.another(this.failed(thrown, endpoint));
      }
    }
  }

  private endMs(options: CallOptions | undefined): number {
    return performance.now() + (options?.timeoutMs ?? this.options.timeoutMs ?? TIMEOUT_MS);
  }

  /** What was thrown as a ClientError; sees to it that later calls go elsewhere if that helps. */
  private failed(thrown: unknown, endpoint: Endpoint | undefined): ClientError {
    const error = toClientError(thrown);
    if (endpoint && error.retryable) this.endpoints.leave(endpoint);
    return error;
  }
}
