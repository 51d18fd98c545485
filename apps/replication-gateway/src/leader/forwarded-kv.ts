/**
 * The KV API on the replication port: what nodes of follower clusters pass on goes to a node here.
 *
 * In: requests as they came. Out: the node's answers as they came, its errors with their texts. A call
 * is tried at another node only where the first one certainly did nothing; the caller's deadline goes
 * with it. Nothing is decoded but the table's name, which says where to go.
 */
import {
  type CallContext,
  type CallOptions,
  type GrpcServer,
  GrpcStatusError,
  type MessageSink,
  status,
} from '@flotilla/grpc';
import { type GatewayClock } from '../gateway-clock.js';
import { passedOn, wasNotExecuted } from '../nodes/node-error.js';
import { type NodePool, type NodeWay } from '../nodes/node-pool.js';
import { type TableDirectory } from '../nodes/table-directory.js';
import { PacedSink } from './paced-sink.js';

const path = (method: string): string => `/regatta.v1.KV/${method}`;
export const ITERATE_RANGE = path('IterateRange');
export const UNARY_METHODS = ['Range', 'Put', 'DeleteRange', 'Txn'].map(path);

/** Nodes that are tried before a call is given up. */
const ATTEMPTS_MAX = 6;
const PAUSE_MS = 20;
/** A table's name is the first field of every request, if it is short. */
const TABLE_TAG = 0x0a;
const TABLE_NAME_BYTES_MAX = 0x7f;
/** What belongs to the connection here and not to the call. */
const OWN_METADATA = /^(:|grpc-|te$|content-type$|user-agent$|authorization$)/;

export class ForwardedKv {
  constructor(
    private readonly pool: NodePool,
    private readonly directory: Pick<TableDirectory, 'find'>,
    private readonly clock: GatewayClock,
  ) {}

  register(server: GrpcServer): void {
    for (const method of UNARY_METHODS) {
      server.register(method, 'unary', (bytes, call) => this.forward(method, bytes, call));
    }
    server.register(ITERATE_RANGE, 'server-stream', (bytes, call, sink) =>
      this.stream(bytes, call, sink),
    );
  }

  private async forward(method: string, bytes: Buffer, call: CallContext): Promise<Buffer> {
    return this.tryNodes(bytes, call, ({ client }, options) =>
      client.unary(method, bytes, options),
    );
  }

  private async stream(bytes: Buffer, call: CallContext, sink: MessageSink): Promise<void> {
    const paced = new PacedSink(sink, this.clock);
    let begun = false;
    await this.tryNodes(
      bytes,
      call,
      async ({ client }, options) => {
        for await (const page of client.serverStream(ITERATE_RANGE, bytes, options)) {
          begun = true;
          await paced.send(page);
        }
      },
      () => !begun,
    );
  }

  private async tryNodes<T>(
    bytes: Buffer,
    call: CallContext,
    attempt: (way: NodeWay, options: CallOptions) => Promise<T>,
    mayTryAgain: () => boolean = () => true,
  ): Promise<T> {
    for (let failed = 0; ;) {
      const [way] = this.pool.ways(this.directory.find(tableOf(bytes))?.replicas);
      if (!way) throw new GrpcStatusError(status.UNAVAILABLE, 'no node is known');
      try {
        const answer = await attempt(way, this.optionsOf(call));
        this.pool.worked(way);
        return answer;
      } catch (error) {
        const again = wasNotExecuted(error) && mayTryAgain() && !call.cancelled;
        if (!again || ++failed >= ATTEMPTS_MAX) throw passedOn(error);
        this.pool.failed(way);
        await this.clock.sleep(PAUSE_MS * failed, call.signal);
      }
    }
  }

  private optionsOf(call: CallContext): CallOptions {
    const { deadline, signal, metadata } = call;
    const names = metadata.names().filter((name) => !OWN_METADATA.test(name));
    return {
      signal,
      metadata: Object.fromEntries(names.map((name) => [name, metadata.getAll(name)])),
      ...(deadline !== undefined && { deadlineMs: Math.max(1, deadline - this.clock.wallMs()) }),
    };
  }
}

/** Empty if it is not where it is expected: then any node will do. */
function tableOf(request: Buffer): string {
  const [tag, length = 0] = request;
  if (tag !== TABLE_TAG || length > TABLE_NAME_BYTES_MAX) return '';
  return request.toString('utf8', 2, 2 + length);
}
