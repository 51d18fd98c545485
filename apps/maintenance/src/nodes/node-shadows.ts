/**
 * Tables that are filled out of sight, over gRPC (`flotilla.tables.v1.ShadowTables`).
 *
 * In: the ways to the nodes. Out: the writer that restores ask for. All of it may be done twice: a batch
 * has a number, and a shadow is found again by its purpose.
 */
import {
  type BeginOutcome,
  type CompleteOutcome,
  type CompleteRequest,
  type FillOutcome,
  type FillRequest,
  type LogEntry,
  type ReadyBatch,
  type ShadowHandle,
  type ShadowWriter,
  type TableSource,
} from '@flotilla/backup';
import { GrpcStatusError, status } from '@flotilla/grpc';
import { hot, mvccV1, shadowV1 } from '@flotilla/proto';
import { type NodeWays } from './node-ways.js';

const SERVICE = '/flotilla.tables.v1.ShadowTables';
/** A shadow is made, or takes a name over, once all living nodes have followed. */
const TABLE_CALL_MS = 30_000;
const FILL_MS = 30_000;

const {
  BeginShadowResponse_Outcome: Began,
  CompleteShadowResponse_Outcome: Completed,
  FillShadowResponse_Outcome: Filled,
} = shadowV1;

export class NodeShadows implements ShadowWriter {
  constructor(
    private readonly ways: NodeWays,
    private readonly source: Pick<TableSource, 'cluster'>,
  ) {}

  async begin(table: string, purpose: string, replace: boolean): Promise<BeginOutcome> {
    const request = { table, purpose, source: undefined, replace };
    const bytes = shadowV1.BeginShadowRequest.encode(request).finish();
    const answer = await this.ways.call(`${SERVICE}/Begin`, bytes, TABLE_CALL_MS);
    const { outcome, shadow, batches, note } = shadowV1.BeginShadowResponse.decode(answer);
    if (outcome === Began.OCCUPIED) {
      return { kind: 'occupied', purpose: shadow?.purpose ?? '' };
    }
    if (outcome === Began.LOCAL) return { kind: 'local' };
    if (!shadow) throw new GrpcStatusError(status.INTERNAL, 'a shadow was begun that is not told');
    const handle = { table, tableId: Number(shadow.tableId), token: Number(shadow.token) };
    const kind = outcome === Began.RESUMED ? 'resumed' : 'begun';
    return { kind, shadow: handle, batches: Number(batches), note };
  }

  ready({ shadow, batch, rows, commands, note }: FillRequest): ReadyBatch {
    const { tableId, token } = shadow;
    const encoded = commands.map(atItsRevision);
    const bytes = hot.encodeFillRequest({ tableId, token, batch, rows, note, commands: encoded });
    return { send: () => this.fill(bytes) };
  }

  private async fill(bytes: Buffer): Promise<FillOutcome> {
    const answer = await this.ways.call(`${SERVICE}/Fill`, bytes, FILL_MS);
    const { outcome, batches } = shadowV1.FillShadowResponse.decode(answer);
    const kinds = {
      [Filled.WRITTEN]: 'written',
      [Filled.OLD_TOKEN]: 'old-token',
      [Filled.OUT_OF_ORDER]: 'out-of-order',
      [Filled.UNRECOGNIZED]: 'out-of-order',
    } as const;
    return { kind: kinds[outcome], batches: Number(batches) };
  }

  async complete(request: CompleteRequest): Promise<CompleteOutcome> {
    const { shadow, replacesTableId, revision } = request;
    const bytes = shadowV1.CompleteShadowRequest.encode({
      table: shadow.table,
      tableId: BigInt(shadow.tableId),
      token: BigInt(shadow.token),
      replacesTableId: BigInt(replacesTableId),
      revision: BigInt(revision),
    }).finish();
    const answer = await this.ways.call(`${SERVICE}/Complete`, bytes, TABLE_CALL_MS);
    const response = shadowV1.CompleteShadowResponse.decode(answer);
    const kinds = {
      [Completed.COMPLETED]: 'completed',
      [Completed.OLD_TOKEN]: 'old-token',
      [Completed.OTHER_TABLE]: 'other-table',
      [Completed.MISSING]: 'missing',
      [Completed.UNRECOGNIZED]: 'missing',
    } as const;
    const kind = kinds[response.outcome];
    const isDoubtful = kind === 'missing' || kind === 'other-table';
    const done = isDoubtful ? await this.completed(request) : undefined;
    if (done) return done;
    return { kind, revision: Number(response.revision), epoch: Number(response.epoch) };
  }

  /** A completion whose answer was lost, and which was asked for again: the name means the shadow. */
  private async completed(request: CompleteRequest): Promise<CompleteOutcome | undefined> {
    const { tables } = await this.source.cluster(AbortSignal.timeout(TABLE_CALL_MS));
    const { table, tableId } = request.shadow;
    const now = tables.find(({ name }) => name === table);
    if (now?.tableId !== tableId) return undefined;
    return { kind: 'completed', revision: request.revision, epoch: now.epoch };
  }

  async drop({ table, tableId, token }: ShadowHandle): Promise<boolean> {
    const request = { table, tableId: BigInt(tableId), token: BigInt(token) };
    const bytes = shadowV1.DropShadowRequest.encode(request).finish();
    const answer = await this.ways.call(`${SERVICE}/Drop`, bytes, TABLE_CALL_MS);
    return shadowV1.DropShadowResponse.decode(answer).dropped;
  }
}

/** A command with the revision that it had. Of two values of a field the last one counts. */
function atItsRevision({ index, command }: LogEntry): Buffer {
  const revision = mvccV1.Command.fromPartial({ leaderIndex: BigInt(index) });
  return Buffer.concat([command, mvccV1.Command.encode(revision).finish()]);
}
