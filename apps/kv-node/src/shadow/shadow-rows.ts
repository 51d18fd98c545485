/**
 * The rows of shadows in the catalog: begun, noted as filled, given up, made what their names mean.
 *
 *   none --begin--> shadow/<name>, token 1 --begin again--> token + 1 --complete--> table/<name>
 *                                                                  \--drop------> deleting/<id>
 *
 * In: what is wanted, by any node. Out: whether it is so, in this node's catalog. Every change is made from
 * the row that was looked at, and is lost if that is another one by then.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type flotillaV1 } from '@flotilla/proto';
import { type Catalog } from '../catalog/catalog.service.js';
import {
  completeCommand,
  createCommand,
  decodeRow,
  deleteCommand,
  encodeRow,
  newRow,
  nextTableId,
  rowKey,
} from '../catalog/catalog-rows.js';
import { type ShadowInfo, type TableInfo } from '../catalog/catalog-state.js';
import { type ClusterView } from '../cluster/cluster-view.js';
import { type NodeClock } from '../node/node-clock.js';
import { chooseReplicas } from '../placement/choose-replicas.js';
import { type BeginWanted } from './shadow-checks.js';
import { IDLE_MS_MAX, NOTED_EVERY_MS } from './shadow-limits.js';

/** A table that is filled out of sight. */
export type ShadowTable = TableInfo & { readonly shadow: ShadowInfo };

export interface Swapped {
  /** Of the change, in the catalog's log. */
  readonly index: number;
  readonly epoch: number;
}

export class ShadowRows {
  constructor(
    private readonly catalog: Catalog,
    private readonly view: ClusterView,
    private readonly clock: Pick<NodeClock, 'wallMs'>,
    private readonly replicasMax: number,
  ) {}

  /** The shadow of a name. */
  of(name: string): ShadowTable | undefined {
    return asShadow(this.catalog.state.shadows.get(name));
  }

  byId(id: number): ShadowTable | undefined {
    return asShadow(this.catalog.state.tablesById.get(id));
  }

  all(): ShadowTable[] {
    return [...this.catalog.state.shadows.values()].map(asShadow).filter(isThere);
  }

  /** A new one, on nodes chosen as for any table; undefined if something else was faster. */
  async create(wanted: BeginWanted, deadlineMs: number): Promise<ShadowTable | undefined> {
    const { sequence } = this.catalog.state;
    const id = nextTableId(sequence);
    const { replicas, preferredLeader } = chooseReplicas({
      nodes: this.view.placementNodes(),
      load: this.view.load,
      tableId: Number(id),
      replicasMax: this.replicasMax,
    });
    if (replicas.length === 0) {
      throw new GrpcStatusError(status.UNAVAILABLE, 'no node can hold a table, try again');
    }
    const row = {
      ...newRow(wanted.table, id, replicas, preferredLeader, wanted.source),
      shadow: this.stateOf(wanted.purpose, 1n, this.isRenewal(wanted)),
    };
    const { command, createdBy } = createCommand(row, sequence);
    const { succeeded } = await this.catalog.propose(command, deadlineMs);
    if (succeeded !== createdBy) return undefined;
    const created = this.of(wanted.table);
    return created?.id === Number(id) ? created : undefined;
  }

  /** Under the next token; undefined if something else was faster. */
  async beginAgain(
    { stored, shadow, id }: ShadowTable,
    deadlineMs: number,
  ): Promise<ShadowTable | undefined> {
    const row = decodeRow(stored);
    const token = shadow.token + 1;
    const state = this.stateOf(shadow.purpose, BigInt(token), shadow.renews);
    const next = { ...row, shadow: state };
    const isDone = await this.catalog.replace(rowKey(row), stored, encodeRow(next), deadlineMs);
    const begun = isDone ? this.of(row.name) : undefined;
    return begun?.id === id && begun.shadow.token === token ? begun : undefined;
  }

  /** That it is filled is noted now and then, so that nobody takes it for a leftover. */
  async noteFilled({ stored, shadow }: ShadowTable, deadlineMs: number): Promise<void> {
    const nowMs = this.clock.wallMs();
    const row = decodeRow(stored);
    if (nowMs - lastSignOf(shadow) < NOTED_EVERY_MS || !row.shadow) return;
    const next = { ...row, shadow: { ...row.shadow, filledAtMs: BigInt(Math.ceil(nowMs)) } };
    // Whoever was faster has noted something, too.
    await this.catalog.replace(rowKey(row), stored, encodeRow(next), deadlineMs);
  }

  /** It is gone once this settles with true; its data goes in the background. */
  async drop({ stored }: ShadowTable, deadlineMs: number): Promise<boolean> {
    return (await this.catalog.propose(deleteCommand(stored), deadlineMs)).succeeded;
  }

  /** It is what its name means once this settles; undefined if anything is not what it was. */
  async complete(
    shadow: ShadowTable,
    replaced: TableInfo | undefined,
    completeAt: number,
    deadlineMs: number,
  ): Promise<Swapped | undefined> {
    const { sequence } = this.catalog.state;
    if (!sequence) return undefined;
    const rows = { shadow: shadow.stored, replaced: replaced?.stored, sequence, completeAt };
    const { command, row } = completeCommand(rows);
    const { succeeded, index } = await this.catalog.propose(command, deadlineMs);
    return succeeded ? { index, epoch: Number(row.epoch) } : undefined;
  }

  /** Those that nobody has begun or filled for too long. */
  leftovers(): ShadowTable[] {
    const nowMs = this.clock.wallMs();
    return this.all().filter(({ shadow }) => nowMs - lastSignOf(shadow) > IDLE_MS_MAX);
  }

  /** Of a copy that is wanted anew: whoever fills it is told, and uses none of its rows. */
  private isRenewal({ table, source }: BeginWanted): true | undefined {
    return source && this.catalog.state.tables.get(table)?.renewalWanted;
  }

  private stateOf(purpose: string, token: bigint, renews?: true): flotillaV1.ShadowState {
    const begunAtMs = BigInt(Math.ceil(this.clock.wallMs()));
    return { purpose, token, begunAtMs, filledAtMs: 0n, ...(renews && { renews }) };
  }
}

function lastSignOf({ begunAtMs, filledAtMs }: ShadowInfo): number {
  return Math.max(begunAtMs, filledAtMs);
}

function asShadow(info: TableInfo | undefined): ShadowTable | undefined {
  return info?.shadow ? { ...info, shadow: info.shadow } : undefined;
}

function isThere(shadow: ShadowTable | undefined): shadow is ShadowTable {
  return shadow !== undefined;
}
