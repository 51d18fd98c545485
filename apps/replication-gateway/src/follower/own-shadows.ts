/**
 * Tables of the own cluster that are filled out of sight (`flotilla.tables.v1.ShadowTables`), and
 * the rows of its copies (`Feed.ReadTable`), over gRPC.
 *
 * In: the ways to its nodes. Out: the port that recoveries write by. A batch has a number, so it may
 * be sent twice; what begins and ends a shadow is not, and whoever is left in doubt looks.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { feedV1, hot, shadowV1 } from '@flotilla/proto';
import { type GatewayClock } from '../gateway-clock.js';
import { type NodePool } from '../nodes/node-pool.js';
import { type CallCodecs, type CallRules, known, NodeCalls } from './node-calls.js';
import { onWire } from './own-cluster.js';
import {
  type BeginOutcome,
  type BegunShadow,
  type CompleteOutcome,
  type Copy,
  type CopyPosition,
  type FillBatch,
  type FillOutcome,
  type Row,
  type Shadow,
  type ShadowTables,
  type ShadowWish,
} from './ports.js';

const SERVICE = '/flotilla.tables.v1.ShadowTables';
const READ_TABLE = '/flotilla.replication.v1.Feed/ReadTable';
/** A shadow is made, and takes a name over, once all living nodes have followed. */
const TABLE_CALL_MS = 10_000;
const FILL_MS = 20_000;
const FILL_ATTEMPT_MS = 10_000;
const LIST_MS = 5_000;

const BEGUN: readonly BeginOutcome[] = ['begun', 'resumed', 'occupied', 'local'];
const FILLED: readonly FillOutcome[] = ['written', 'old-token', 'out-of-order'];
const COMPLETED: readonly CompleteOutcome[] = ['completed', 'old-token', 'other-table', 'missing'];

const FILL_REQUEST = {
  encode: (message: hot.FillRequestFields) => ({ finish: () => hot.encodeFillRequest(message) }),
};

const OF_SHADOWS = { deadlineMs: TABLE_CALL_MS, attemptMs: TABLE_CALL_MS, isRepeatable: false };
const OF_BATCHES = { deadlineMs: FILL_MS, attemptMs: FILL_ATTEMPT_MS, isRepeatable: true };
const OF_LISTS = { deadlineMs: LIST_MS, attemptMs: LIST_MS, isRepeatable: true };

export class OwnShadows implements ShadowTables {
  private readonly calls: NodeCalls;

  constructor(
    private readonly pool: NodePool,
    clock: Pick<GatewayClock, 'nowMs'>,
  ) {
    this.calls = new NodeCalls(pool, clock);
  }

  async begin({ table, purpose, source, replace }: ShadowWish): Promise<BegunShadow> {
    const codecs = [shadowV1.BeginShadowRequest, shadowV1.BeginShadowResponse] as const;
    const request = { table, purpose, source: onWire(source), replace };
    const answer = await this.call('Begin', codecs, request, OF_SHADOWS);
    const shadow = answer.shadow && toShadow(answer.shadow);
    const { batches, note } = answer;
    return { outcome: known(BEGUN, answer.outcome), shadow, batches: Number(batches), note };
  }

  async fill(
    { id, token }: Shadow,
    { batch, rows, note }: FillBatch,
    signal: AbortSignal,
  ): Promise<FillOutcome> {
    const codecs = [FILL_REQUEST, shadowV1.FillShadowResponse] as const;
    const request = { tableId: id, token, batch, rows, note, commands: [] };
    const { outcome } = await this.call('Fill', codecs, request, { ...OF_BATCHES, signal });
    return known(FILLED, outcome);
  }

  async complete(
    shadow: Shadow,
    replacesId: number,
    { index, check }: CopyPosition,
  ): Promise<CompleteOutcome> {
    const codecs = [shadowV1.CompleteShadowRequest, shadowV1.CompleteShadowResponse] as const;
    const request = {
      table: shadow.table,
      tableId: BigInt(shadow.id),
      token: BigInt(shadow.token),
      replacesTableId: BigInt(replacesId),
      revision: BigInt(index),
      revisionCheck: check,
    };
    const { outcome } = await this.call('Complete', codecs, request, OF_SHADOWS);
    return known(COMPLETED, outcome);
  }

  async drop({ table, id, token }: Shadow): Promise<void> {
    const codecs = [shadowV1.DropShadowRequest, shadowV1.DropShadowResponse] as const;
    const request = { table, tableId: BigInt(id), token: BigInt(token) };
    await this.call('Drop', codecs, request, { ...OF_SHADOWS, isRepeatable: true });
  }

  async list(): Promise<readonly Shadow[]> {
    const codecs = [shadowV1.ListShadowsRequest, shadowV1.ListShadowsResponse] as const;
    const { shadows } = await this.call('List', codecs, {}, OF_LISTS);
    return shadows.map(toShadow);
  }

  async *read(
    { table, id }: Copy,
    afterKey: Buffer,
    signal: AbortSignal,
  ): AsyncGenerator<readonly Row[], void, undefined> {
    const [way] = this.pool.ways();
    if (!way) throw new GrpcStatusError(status.UNAVAILABLE, 'no node is known');
    const request = feedV1.ReadTableRequest.encode({
      table: Buffer.from(table),
      epoch: 0n,
      linearizable: true,
      chunkBytesMax: 0,
      atRevision: 0n,
      afterKey,
      sinceRevision: 0n,
    }).finish();
    const options = { signal, metadata: this.pool.credentials };
    let isFirst = true;
    for await (const bytes of way.client.serverStream(READ_TABLE, request, options)) {
      const { position, rows, more } = hot.decodeTableChunk(bytes);
      if (isFirst && position?.tableId !== id) {
        throw new GrpcStatusError(status.FAILED_PRECONDITION, 'the name means another table');
      }
      isFirst = false;
      yield rows;
      if (!more) return;
    }
    throw new GrpcStatusError(status.UNAVAILABLE, 'a table was cut short');
  }

  private call<Q, A>(
    method: string,
    codecs: CallCodecs<Q, A>,
    message: NoInfer<Q>,
    rules: CallRules,
  ): Promise<A> {
    return this.calls.call(`${SERVICE}/${method}`, codecs, message, rules);
  }
}

function toShadow({ table, tableId, purpose, token, source, renews }: shadowV1.Shadow): Shadow {
  const of = source && { tableId: Number(source.tableId), epoch: Number(source.epoch) };
  const named = { table, id: Number(tableId), purpose, token: Number(token), source: of };
  return renews ? { ...named, renews } : named;
}
