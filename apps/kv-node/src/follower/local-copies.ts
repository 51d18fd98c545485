/**
 * The copies that a node's readers are answered from: the one here, or one at another node.
 *
 *   shown: a copy here      waits in line until it has the revision
 *          none here        a node that holds one waits for it (`READ_AT` without a read)
 *          not known yet    waits until the catalog lists the table
 *
 * In: a revision of the leader cluster. Out: whether it is there to be read through this node, or where
 * the copy stood when the time was over. What moves in between is looked at again.
 */
import { type Catalog } from '../catalog/catalog.service.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { type RunningTable } from '../tables/table-registry.js';
import { type TableRouter } from '../routing/table-router.js';
import { hasReached, RevisionWaits, type CopyPosition } from './revision-waits.js';
import { encodeLag, encodeRead, splitAnswer } from './passed-reads.js';

/** Passed on between nodes: a read, once the copy has a revision. */
export const READ_AT = 'ReadAt';

/** What must be there before a caller is answered. */
export interface WantedCopy {
  readonly table: Buffer;
  readonly revision: number;
  readonly leaderTableId: number;
  /** On the clock of the node. */
  readonly deadlineMs: number;
  /** Nobody waits any more. */
  readonly signal?: AbortSignal;
}

export type Shown =
  | { readonly kind: 'there' }
  /** Time was over; `revision` is where the copy stood, if there is one and it could be asked. */
  | { readonly kind: 'late'; readonly revision: number | undefined };

const THERE: Shown = { kind: 'there' };
const IS_THERE = Buffer.from([1]);
const IS_LATE = Buffer.from([0]);
const HAS_NONE = Buffer.alloc(0);

export class LocalCopies {
  readonly waits: RevisionWaits;

  constructor(
    runtime: NodeRuntime,
    private readonly catalog: Catalog,
    private readonly router: TableRouter,
  ) {
    this.waits = new RevisionWaits(runtime.clock, (table) => this.position(Buffer.from(table)));
  }

  /** Where the copy here stands; undefined if there is none that may answer. */
  position(table: Uint8Array): CopyPosition | undefined {
    const here = this.router.serving(table);
    return here && this.positionOf(here);
  }

  positionOf({ id, machine }: RunningTable): CopyPosition {
    const leaderTableId = this.catalog.state.tablesById.get(id)?.source?.tableId ?? 0;
    return { revision: machine.state.leaderIndex, leaderTableId };
  }

  /** A replica here has applied more, or has another state. */
  advanced(table: RunningTable): void {
    if (table.group.isVoter) this.waits.advanced(table.name, this.positionOf(table));
  }

  hasReached(wanted: Omit<WantedCopy, 'deadlineMs'>): boolean {
    return hasReached(this.position(wanted.table), wanted);
  }

  /** The caller has a place among those that wait. */
  async shown(wanted: WantedCopy): Promise<Shown> {
    const name = wanted.table.toString();
    for (;;) {
      const isElsewhere = !this.router.serving(wanted.table) && this.catalog.state.tables.has(name);
      if (isElsewhere) return this.shownElsewhere(wanted);
      const { revision, leaderTableId, deadlineMs, signal } = wanted;
      const at = { table: name, revision, leaderTableId };
      const end = await this.waits.wait(at, deadlineMs, signal);
      if (end === 'reached') return THERE;
      if (end === 'late') return { kind: 'late', revision: this.position(wanted.table)?.revision };
    }
  }

  private async shownElsewhere(wanted: WantedCopy): Promise<Shown> {
    const { table, revision: minRevision, leaderTableId, deadlineMs } = wanted;
    const request = encodeRead({
      table,
      minRevision,
      leaderTableId,
      method: '',
      request: Buffer.alloc(0),
    });
    const call = { table, method: READ_AT, request, hops: 0, deadlineMs };
    // A copy may come here meanwhile.
    const bytes = await this.router.read(call, async () => encodeShown(await this.shown(wanted)));
    return decodeShown(bytes);
  }
}

/** The answer to a caller at another node that only waits. */
export function encodeShown(shown: Shown): Buffer {
  const revision = shown.kind === 'late' ? shown.revision : undefined;
  const lag = encodeLag({ revision: revision ?? 0, lag: undefined });
  const how = shown.kind === 'there' ? IS_THERE : revision === undefined ? HAS_NONE : IS_LATE;
  return Buffer.concat([lag, how]);
}

function decodeShown(bytes: Uint8Array): Shown {
  const { copy, answer } = splitAnswer(bytes);
  if (answer.equals(IS_THERE)) return THERE;
  return { kind: 'late', revision: answer.equals(IS_LATE) ? copy.revision : undefined };
}
