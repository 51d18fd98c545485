/**
 * Tables that are filled out of sight and take a name over once they are complete
 * (`flotilla.tables.v1.ShadowTables`).
 *
 *   Begin --> its row, its groups, a claim under the next token --> how far it is
 *   Fill  --> checked, an entry of its log
 *   Complete --> the filling ends --> one change of the catalog: readers have the old table before it, the
 *            new one after it, on every node --> the old one is stopped where it could acknowledge writes
 *
 * In: decoded requests, at any node. Out: answers, or GrpcStatusError. Each call may be made again when its
 * answer was lost. Nothing of a shadow is served to clients before it is complete.
 */
import { GrpcStatusError, status, type CallContext } from '@flotilla/grpc';
import { shadowV1 } from '@flotilla/proto';
import { type Catalog } from '../catalog/catalog.service.js';
import { type TableInfo } from '../catalog/catalog-state.js';
import { invalid, withStatus } from '../kv/errors.js';
import { OPERATION_TIMEOUT_MS } from '../kv/limits.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { promoted } from '../promotion/promoted.js';
import { type Answer } from '../routing/table-router.js';
import { isSameSource, type TableAdmin } from '../tables/table-admin.js';
import {
  checkComplete,
  checkDrop,
  checkedBegin,
  checkedFill,
  refused,
  type BeginWanted,
} from './shadow-checks.js';
import { ATTEMPTS_MAX, COMPLETE_TIMEOUT_MS, LAST_WRITES_MAX } from './shadow-limits.js';
import { type ShadowRows, type ShadowTable, type Swapped } from './shadow-rows.js';
import { type StepOutcome, type TableSteps } from './table-steps.js';

const BEGUN = shadowV1.BeginShadowResponse_Outcome;
const COMPLETED = shadowV1.CompleteShadowResponse_Outcome;

export interface ShadowTablesParts {
  readonly runtime: NodeRuntime;
  readonly catalog: Catalog;
  readonly rows: ShadowRows;
  readonly steps: TableSteps;
  readonly admin: Pick<TableAdmin, 'untilStopped'>;
  readonly isFollower: boolean;
}

type Completed = shadowV1.CompleteShadowResponse;

export class ShadowTables {
  constructor(private readonly parts: ShadowTablesParts) {}

  list(): shadowV1.ListShadowsResponse {
    const shadows = this.parts.rows.all();
    shadows.sort((a, b) => (a.name < b.name ? -1 : 1));
    return { shadows: shadows.map(onWire) };
  }

  async begin(request: shadowV1.BeginShadowRequest): Promise<shadowV1.BeginShadowResponse> {
    const { rows, catalog, runtime } = this.parts;
    const wanted = checkedBegin(request, this.parts.isFollower && !this.isPromoted);
    const deadlineMs = runtime.deadline(OPERATION_TIMEOUT_MS);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await withStatus(catalog.barrier(deadlineMs));
      if (wanted.source && this.isPromoted) throw promoted();
      const now = catalog.state.tables.get(wanted.table);
      if (wanted.source && now && !now.source) return begun(BEGUN.LOCAL, undefined);
      const known = rows.of(wanted.table);
      if (known && !isFor(known, wanted)) {
        if (!wanted.replace) return begun(BEGUN.OCCUPIED, known);
        await withStatus(rows.drop(known, deadlineMs));
        continue;
      }
      if (known && mayHoldUnwanted(known, now)) {
        await withStatus(rows.drop(known, deadlineMs));
        continue;
      }
      const shadow = await withStatus(
        known ? rows.beginAgain(known, deadlineMs) : rows.create(wanted, deadlineMs),
      );
      const progress = shadow && (await this.claim(shadow, deadlineMs));
      if (progress) return begun(known ? BEGUN.RESUMED : BEGUN.BEGUN, shadow, progress);
    }
    throw tooFast();
  }

  /** `bytes` is the request as it came, to be passed on to the replica that leads. */
  async fill(bytes: Buffer, { deadline }: CallContext, hops: number): Promise<Answer> {
    const request = checkedFill(bytes);
    const { runtime, rows, steps, catalog } = this.parts;
    const leftMs = deadline === undefined ? Infinity : deadline - runtime.clock.wallMs();
    const deadlineMs = runtime.deadline(Math.min(leftMs, OPERATION_TIMEOUT_MS));
    const id = Number(request.tableId);
    if (!mayFill(rows.byId(id), request)) await withStatus(catalog.barrier(deadlineMs));
    const shadow = rows.byId(id);
    if (!shadow) throw new GrpcStatusError(status.NOT_FOUND, 'shadow not found');
    if (!mayFill(shadow, request)) throw neverGiven();
    await withStatus(rows.noteFilled(shadow, deadlineMs));
    return withStatus(steps.fill(request, bytes, { hops, deadlineMs }));
  }

  async complete(request: shadowV1.CompleteShadowRequest): Promise<Completed> {
    checkComplete(request);
    const { catalog, rows, runtime } = this.parts;
    const deadlineMs = runtime.deadline(COMPLETE_TIMEOUT_MS);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await withStatus(catalog.barrier(deadlineMs));
      const now = catalog.state.tables.get(request.table);
      const shadow = rows.of(request.table);
      if (shadow?.id !== Number(request.tableId)) return this.past(request, now, deadlineMs);
      if (request.token < BigInt(shadow.shadow.token)) return ended(COMPLETED.OLD_TOKEN);
      if (!mayFill(shadow, request)) throw neverGiven();
      if (shadow.source && this.isPromoted) throw promoted();
      const isExpected = BigInt(now?.id ?? 0) === request.replacesTableId;
      const isLocal = shadow.source !== undefined && now !== undefined && !now.source;
      if (!isExpected || isLocal) return ended(COMPLETED.OTHER_TABLE);
      const end = await this.end(request, shadow, now, deadlineMs);
      if (end.refused === 'token') return ended(COMPLETED.OLD_TOKEN);
      if (end.refused === 'closed') continue;
      const swapped = await withStatus(rows.complete(shadow, now, end.index, deadlineMs));
      if (!swapped) continue;
      if (now) await this.stopped(now, swapped);
      return ended(COMPLETED.COMPLETED, end.revision, swapped.epoch);
    }
    throw tooFast();
  }

  async drop(request: shadowV1.DropShadowRequest): Promise<shadowV1.DropShadowResponse> {
    checkDrop(request);
    const { catalog, rows, runtime } = this.parts;
    const deadlineMs = runtime.deadline(OPERATION_TIMEOUT_MS);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await withStatus(catalog.barrier(deadlineMs));
      const shadow = rows.of(request.table);
      if (shadow?.id !== Number(request.tableId)) return { dropped: false };
      if (request.token !== BigInt(shadow.shadow.token)) return { dropped: false };
      if (await withStatus(rows.drop(shadow, deadlineMs))) return { dropped: true };
    }
    throw tooFast();
  }

  /** By the node that leads the catalog, every now and then. Rejects with HostError. */
  async dropLeftovers(): Promise<void> {
    const deadlineMs = this.parts.runtime.deadline(OPERATION_TIMEOUT_MS);
    for (const shadow of this.parts.rows.leftovers()) {
      await this.parts.rows.drop(shadow, deadlineMs);
    }
  }

  /** Nothing becomes a copy any more. */
  private get isPromoted(): boolean {
    return this.parts.catalog.state.cluster.promoted;
  }

  /** How far it is, once nothing under an older token can write any more; undefined if it is overtaken. */
  private async claim(shadow: ShadowTable, deadlineMs: number): Promise<StepOutcome | undefined> {
    const { token } = shadow.shadow;
    const step = { kind: 'claim', tableId: shadow.id, token } as const;
    try {
      const outcome = await this.parts.steps.take(step, { hops: 0, deadlineMs });
      return outcome.refused ? undefined : outcome;
    } catch (error) {
      // It was dropped, or completed, meanwhile.
      if (error instanceof GrpcStatusError && error.code === status.NOT_FOUND) return undefined;
      throw error;
    }
  }

  /** The filling is over; nobody sees it yet, and it may be ended once more. */
  private async end(
    request: shadowV1.CompleteShadowRequest,
    shadow: ShadowTable,
    replaced: TableInfo | undefined,
    deadlineMs: number,
  ): Promise<StepOutcome> {
    const { steps } = this.parts;
    const { source, id: tableId } = shadow;
    const step = { kind: 'end', tableId, token: Number(request.token) } as const;
    const wanted = Number(request.revision);
    const call = { hops: 0, deadlineMs };
    const { revisionCheck } = request;
    if (source) {
      const of = { revision: wanted, sourceEpoch: source.epoch };
      const check = revisionCheck !== undefined && { sourceCheck: String(revisionCheck) };
      const outcome = await steps.take({ ...step, ...of, ...check }, call);
      if (outcome.refused !== 'revision') return outcome;
      throw refused(`revision must not be below ${outcome.revision}, which rows are of`);
    }
    if (revisionCheck !== undefined) throw invalid('revision_check must be of a copy');
    const before = replaced && (await steps.take({ kind: 'revision', tableId: replaced.id }, call));
    const floor = before ? before.revision + LAST_WRITES_MAX : 0;
    return steps.take({ ...step, revision: Math.max(wanted, floor) }, call);
  }

  /** There is no such shadow: the call may be one whose answer was lost. */
  private async past(
    { tableId }: shadowV1.CompleteShadowRequest,
    now: TableInfo | undefined,
    deadlineMs: number,
  ): Promise<Completed> {
    if (now?.id !== Number(tableId)) return ended(COMPLETED.MISSING);
    const step = { kind: 'revision', tableId: now.id } as const;
    const { revision } = await this.parts.steps.take(step, { hops: 0, deadlineMs });
    return ended(COMPLETED.COMPLETED, revision, now.epoch);
  }

  private async stopped(replaced: TableInfo, { index }: Swapped): Promise<void> {
    const text = 'the table is replaced, but too few of its nodes answer to stop it everywhere';
    await withStatus(this.parts.admin.untilStopped(replaced, index, text));
  }
}

/** An older token is refused where the rows are; one that nobody was given would shut all others out. */
function mayFill(shadow: ShadowTable | undefined, { token }: { readonly token: bigint }): boolean {
  return shadow !== undefined && token <= BigInt(shadow.shadow.token);
}

function neverGiven(): GrpcStatusError {
  return invalid('token must be one that Begin has given');
}

/** It may be filled with rows of a copy that somebody does not trust since then. */
function mayHoldUnwanted({ source, shadow }: ShadowTable, now: TableInfo | undefined): boolean {
  return source !== undefined && now?.renewalWanted === true && !shadow.renews;
}

function isFor({ shadow, source }: ShadowTable, wanted: BeginWanted): boolean {
  if (shadow.purpose !== wanted.purpose) return false;
  return wanted.source ? isSameSource(wanted.source, source) : source === undefined;
}

function begun(
  outcome: shadowV1.BeginShadowResponse_Outcome,
  shadow: ShadowTable | undefined,
  { batches, note }: Pick<StepOutcome, 'batches' | 'note'> = { batches: 0, note: '' },
): shadowV1.BeginShadowResponse {
  return {
    outcome,
    shadow: shadow && onWire(shadow),
    batches: BigInt(batches),
    note: Buffer.from(note, 'base64'),
  };
}

function ended(
  outcome: shadowV1.CompleteShadowResponse_Outcome,
  revision = 0,
  epoch = 0,
): Completed {
  return { outcome, revision: BigInt(revision), epoch: BigInt(epoch) };
}

function onWire({ id, name, shadow, source }: ShadowTable): shadowV1.Shadow {
  return {
    table: name,
    tableId: BigInt(id),
    purpose: shadow.purpose,
    token: BigInt(shadow.token),
    source: source && { tableId: BigInt(source.tableId), epoch: BigInt(source.epoch) },
    begunAtMs: BigInt(shadow.begunAtMs),
    ...(shadow.renews && { renews: true }),
  };
}

function tooFast(): GrpcStatusError {
  return new GrpcStatusError(status.UNAVAILABLE, 'tables change too fast, try again later');
}
