/**
 * A cluster in memory, with the history of its tables: what backups are tested against.
 *
 * In: writes of a test, and what is to go wrong. Out: both ports of `ports.ts`. A read at a revision gives
 * exactly what the table was then; a restore is seen only once it is complete.
 */
import { BackupError } from '../backup-error.js';
import { type Row } from '../format/records.js';
import {
  type BeginOutcome,
  type CompleteOutcome,
  type CompleteRequest,
  type FillOutcome,
  type FillRequest,
  type ReadRequest,
  type ShadowHandle,
  type ShadowWriter,
  type SourceChunk,
  type SourceCluster,
  type TableSource,
} from '../ports.js';

interface Version {
  readonly revision: number;
  readonly key: Buffer;
  /** Undefined: deleted. */
  readonly value: Buffer | undefined;
}

interface FakeShadow {
  readonly tableId: number;
  readonly purpose: string;
  token: number;
  batches: number;
  note: Buffer;
  rows: Row[];
}

export class FakeTable {
  revision = 0;
  /** Nothing before it can be told any more. */
  keptFrom = 0;
  readonly versions: Version[] = [];

  constructor(
    readonly tableId: number,
    readonly epoch: number,
  ) {}

  put(key: Buffer, value: Buffer | undefined): number {
    this.revision++;
    this.versions.push({ revision: this.revision, key, value });
    return this.revision;
  }

  /** As it was, by key. */
  at(revision: number): Map<string, Row> {
    const rows = new Map<string, Row>();
    for (const each of this.versions) {
      if (each.revision > revision) break;
      const name = each.key.toString('hex');
      const before = rows.get(name);
      if (each.value === undefined) rows.delete(name);
      else {
        rows.set(name, {
          key: each.key,
          value: each.value,
          createRevision: before?.createRevision ?? each.revision,
          modRevision: each.revision,
          version: (before?.version ?? 0) + 1,
        });
      }
    }
    return rows;
  }
}

export class FakeCluster implements TableSource, ShadowWriter {
  readonly clusterId = 'fake-1';
  readonly tables = new Map<string, FakeTable>();
  readonly shadows = new Map<string, FakeShadow>();
  rowsPerChunk = 3;
  /** Asked before each chunk; throws what is to go wrong. */
  onChunk: (table: string, chunk: number) => void = () => undefined;
  onFill: (batch: number) => void = () => undefined;
  /** Requests that were made, in their order. */
  readonly reads: ReadRequest[] = [];
  private nextId = 10_001;

  create(name: string): FakeTable {
    const id = this.nextId++;
    const table = new FakeTable(id, id);
    this.tables.set(name, table);
    return table;
  }

  async cluster(): Promise<SourceCluster> {
    const tables = Array.from(this.tables, ([name, { tableId, epoch }]) => ({
      name,
      tableId,
      epoch,
    }));
    return { clusterId: this.clusterId, tables };
  }

  async *read(request: ReadRequest): AsyncGenerator<SourceChunk, void, undefined> {
    this.reads.push(request);
    const { name } = request.table;
    const table = this.tables.get(name);
    if (!table || table.epoch !== request.table.epoch) {
      throw new BackupError('TABLE_CHANGED', `table ${name} is gone`);
    }
    const revision = request.atRevision === 0 ? table.revision : request.atRevision;
    const oldest = request.sinceRevision === 0 ? revision : request.sinceRevision;
    if (oldest < table.keptFrom) throw new BackupError('REVISION_GONE', 'compacted');
    const changes = changesOf(table, request, revision);
    const { tableId, epoch } = table;
    for (let at = 0, chunk = 0; at === 0 || at < changes.length; at += this.rowsPerChunk) {
      this.onChunk(name, chunk);
      const some = changes.slice(at, at + this.rowsPerChunk);
      yield {
        position: chunk === 0 ? { tableId, epoch, appliedIndex: revision, revision } : undefined,
        rows: some.flatMap(({ row }) => (row ? [row] : [])),
        deletedKeys: some.flatMap(({ key, row }) => (row ? [] : [key])),
      };
      chunk++;
    }
  }

  async begin(table: string, purpose: string, replace: boolean): Promise<BeginOutcome> {
    const there = this.shadows.get(table);
    if (there && there.purpose === purpose) {
      there.token++;
      const { tableId, token, batches, note } = there;
      return { kind: 'resumed', shadow: { table, tableId, token }, batches, note };
    }
    if (there && !replace) return { kind: 'occupied', purpose: there.purpose };
    const tableId = this.nextId++;
    const token = (there?.token ?? 0) + 1;
    const note = Buffer.alloc(0);
    this.shadows.set(table, { tableId, purpose, token, batches: 0, note, rows: [] });
    return { kind: 'begun', shadow: { table, tableId, token }, batches: 0, note };
  }

  async fill({ shadow, batch, rows, note }: FillRequest): Promise<FillOutcome> {
    const there = this.shadows.get(shadow.table);
    if (!there || there.token !== shadow.token) return { kind: 'old-token', batches: 0 };
    if (batch > there.batches + 1) return { kind: 'out-of-order', batches: there.batches };
    if (batch === there.batches + 1) {
      there.rows.push(...rows);
      there.batches = batch;
      there.note = note;
    }
    this.onFill(batch);
    return { kind: 'written', batches: there.batches };
  }

  async complete(request: CompleteRequest): Promise<CompleteOutcome> {
    const { shadow, replacesTableId, revision } = request;
    const there = this.shadows.get(shadow.table);
    const before = this.tables.get(shadow.table);
    if (!there) return { kind: 'missing', revision: 0, epoch: 0 };
    if (there.token !== shadow.token) return { kind: 'old-token', revision: 0, epoch: 0 };
    if ((before?.tableId ?? 0) !== replacesTableId) {
      return { kind: 'other-table', revision: 0, epoch: 0 };
    }
    const table = new FakeTable(there.tableId, there.tableId);
    for (const { key, value } of there.rows) table.put(key, value);
    table.revision = Math.max(revision, before?.revision ?? 0, table.revision) + 1;
    this.shadows.delete(shadow.table);
    this.tables.set(shadow.table, table);
    return { kind: 'completed', revision: table.revision, epoch: table.epoch };
  }

  async drop({ table, token }: ShadowHandle): Promise<boolean> {
    return this.shadows.get(table)?.token === token && this.shadows.delete(table);
  }
}

interface Change {
  readonly key: Buffer;
  /** Undefined: deleted. */
  readonly row: Row | undefined;
}

function changesOf(table: FakeTable, request: ReadRequest, revision: number): readonly Change[] {
  const { sinceRevision, afterKey } = request;
  const now = table.at(revision);
  const changes = new Map<string, Change>();
  if (sinceRevision === 0) for (const [name, row] of now) changes.set(name, { key: row.key, row });
  for (const each of table.versions) {
    if (sinceRevision === 0 || each.revision <= sinceRevision || each.revision > revision) continue;
    const name = each.key.toString('hex');
    changes.set(name, { key: each.key, row: now.get(name) });
  }
  return [...changes.values()]
    .filter(({ key }) => !afterKey || Buffer.compare(key, afterKey) > 0)
    .sort((a, b) => Buffer.compare(a.key, b.key));
}
