/**
 * `flotilla.tables.v1.ShadowTables` over bytes: decode, have it done, encode; and what nodes pass on of it.
 *
 * In: a gRPC server, calls of other nodes. Out: methods registered, answers. Served in both roles, and guarded
 * like the changes of tables: whoever may call it may replace every table.
 */
import { type CallContext, type GrpcServer } from '@flotilla/grpc';
import { shadowV1 } from '@flotilla/proto';
import { malformed } from '../kv/errors.js';
import { OPERATION_TIMEOUT_MS } from '../kv/limits.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { type MorePassedCalls } from '../routing/passed-calls.js';
import { type Answer } from '../routing/table-router.js';
import { type ShadowTables } from './shadow-tables.js';
import { FILL_TABLE, TABLE_STEP, type TableSteps } from './table-steps.js';

export const SHADOW_TABLES_SERVICE = 'flotilla.tables.v1.ShadowTables';

interface Codec<T> {
  decode(bytes: Uint8Array): T;
  encode(message: T): { finish(): Uint8Array };
}

export class ShadowApi implements MorePassedCalls {
  constructor(
    private readonly runtime: NodeRuntime,
    private readonly shadows: ShadowTables,
    private readonly steps: TableSteps,
  ) {}

  register(server: GrpcServer): void {
    const { shadows } = this;
    const unary = (
      method: string,
      handle: (bytes: Buffer, call: CallContext) => Promise<Uint8Array>,
    ): void => {
      server.register(`/${SHADOW_TABLES_SERVICE}/${method}`, 'unary', handle);
    };
    const typed = <Q, A>(
      method: string,
      [request, response]: readonly [Codec<Q>, Codec<A>],
      handle: (request: Q) => A | Promise<A>,
    ): void => {
      unary(method, async (bytes) =>
        response.encode(await handle(decoded(request, bytes))).finish(),
      );
    };
    const v1 = shadowV1;
    typed('Begin', [v1.BeginShadowRequest, v1.BeginShadowResponse], (it) => shadows.begin(it));
    typed('Complete', [v1.CompleteShadowRequest, v1.CompleteShadowResponse], (it) =>
      shadows.complete(it),
    );
    typed('Drop', [v1.DropShadowRequest, v1.DropShadowResponse], (it) => shadows.drop(it));
    typed('List', [v1.ListShadowsRequest, v1.ListShadowsResponse], () => shadows.list());
    unary('Fill', async (bytes, call) => (await shadows.fill(bytes, call, 0)).answer);
  }

  passedOn(
    method: string,
    bytes: Buffer,
    call: CallContext,
    hops: number,
  ): Promise<Answer> | undefined {
    if (method === FILL_TABLE) return this.shadows.fill(bytes, call, hops);
    if (method !== TABLE_STEP) return undefined;
    const leftMs = (call.deadline ?? Infinity) - this.runtime.clock.wallMs();
    const deadlineMs = this.runtime.deadline(Math.min(leftMs, OPERATION_TIMEOUT_MS));
    return this.steps.takePassed(bytes, { hops, deadlineMs });
  }

  streamPassedOn(): undefined {
    return undefined;
  }
}

function decoded<T>(codec: Codec<T>, bytes: Buffer): T {
  try {
    return codec.decode(bytes);
  } catch (error) {
    throw malformed(error);
  }
}
