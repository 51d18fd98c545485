/**
 * Shadows of a cluster in memory: one a name, tokens that grow, batches written once, a name that is
 * taken over all at once or not at all.
 */
import { FakeCopy, type FakeOwn, inOrder, statusError } from './fake-clusters.js';
import {
  type BegunShadow,
  type CompleteOutcome,
  type Copy,
  type CopyPosition,
  type CopySource,
  type FillBatch,
  type FillOutcome,
  type Row,
  type Shadow,
  type ShadowTables,
  type ShadowWish,
} from '../../src/follower/ports.js';

interface FakeShadow {
  readonly copy: FakeCopy;
  readonly purpose: string;
  readonly source: CopySource;
  readonly renews: boolean;
  token: number;
  batches: number;
  note: Buffer;
}

export class FakeShadows implements ShadowTables {
  readonly byName = new Map<string, FakeShadow>();
  /** Keys in the order in which they were filled, of all shadows. */
  readonly filled: string[] = [];
  rowsPerPiece = 3;

  constructor(private readonly own: FakeOwn) {}

  begin({ table, purpose, source, replace }: ShadowWish): Promise<BegunShadow> {
    return this.own.do('begin', table, () => {
      const there = this.own.tables.get(table);
      if (there && !there.source) return none('local');
      let shadow = this.byName.get(table);
      const isSame =
        shadow?.purpose === purpose &&
        shadow.source.tableId === source.tableId &&
        shadow.source.epoch === source.epoch;
      if (shadow && !isSame && !replace) {
        return { ...none('occupied'), shadow: this.told(table, shadow) };
      }
      const renews = there?.renewalWanted === true;
      const goesOn = isSame && (!renews || shadow?.renews === true);
      const outcome = goesOn ? ('resumed' as const) : ('begun' as const);
      if (!shadow || !goesOn) {
        const copy = new FakeCopy(this.own.newId(), source);
        const token = shadow?.token ?? 0;
        shadow = { copy, purpose, source, renews, token, batches: 0, note: Buffer.alloc(0) };
        this.byName.set(table, shadow);
      }
      shadow.token++;
      const { batches, note } = shadow;
      return { outcome, shadow: this.told(table, shadow), batches, note };
    });
  }

  fill({ table, id, token }: Shadow, batch: FillBatch): Promise<FillOutcome> {
    return this.own.do('fill', batch, () => {
      const shadow = this.byName.get(table);
      if (shadow?.copy.id !== id) throw statusError('NOT_FOUND', 'there is no such shadow');
      if (token < shadow.token) return 'old-token' as const;
      if (batch.batch <= shadow.batches) return 'written' as const;
      if (batch.batch > shadow.batches + 1) return 'out-of-order' as const;
      for (const row of batch.rows) {
        shadow.copy.rowsByKey.set(row.key.toString(), row);
        this.filled.push(row.key.toString());
      }
      shadow.batches = batch.batch;
      shadow.note = batch.note;
      return 'written' as const;
    });
  }

  complete(
    { table, id, token }: Shadow,
    replacesId: number,
    { index, check }: CopyPosition,
  ): Promise<CompleteOutcome> {
    return this.own.do('complete', table, () => {
      const shadow = this.byName.get(table);
      if (shadow?.copy.id !== id) return 'missing' as const;
      if (token < shadow.token) return 'old-token' as const;
      if ((this.own.tables.get(table)?.id ?? 0) !== replacesId) return 'other-table' as const;
      shadow.copy.index = index;
      shadow.copy.check = check;
      const isWanted = this.own.tables.get(table)?.renewalWanted === true;
      shadow.copy.renewalWanted = isWanted && !shadow.renews;
      this.own.tables.set(table, shadow.copy);
      this.byName.delete(table);
      return 'completed' as const;
    });
  }

  drop({ table, id, token }: Shadow): Promise<void> {
    return this.own.do('drop', table, () => {
      const shadow = this.byName.get(table);
      if (shadow?.copy.id === id && token >= shadow.token) this.byName.delete(table);
    });
  }

  list(): Promise<readonly Shadow[]> {
    return this.own.do('shadows', undefined, () =>
      [...this.byName].map(([table, shadow]) => this.told(table, shadow)),
    );
  }

  async *read(
    { table, id }: Copy,
    afterKey: Buffer,
  ): AsyncGenerator<readonly Row[], void, undefined> {
    const rows = await this.own.do('read', table, () => {
      const all = inOrder(this.own.existing(table, id).rows);
      return all.filter(({ key }) => Buffer.compare(key, afterKey) > 0);
    });
    for (let at = 0; at < rows.length; at += this.rowsPerPiece) {
      await Promise.resolve();
      yield rows.slice(at, at + this.rowsPerPiece);
    }
  }

  private told(table: string, { copy, purpose, token, source, renews }: FakeShadow): Shadow {
    const named = { table, id: copy.id, purpose, token, source };
    return renews ? { ...named, renews } : named;
  }
}

function none(outcome: 'local' | 'occupied'): BegunShadow {
  return { outcome, shadow: undefined, batches: 0, note: Buffer.alloc(0) };
}
