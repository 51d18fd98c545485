/**
 * A cluster in memory, with the history of its tables: what backups are tested against.
 *
 * In: writes of a test, and what is to go wrong. Out: the ports of `ports.ts`. A read at a revision gives
 * exactly what the table was then; a restore is seen only once it is complete; a log is told as it grows.
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
  type FollowRequest,
  type LogPart,
  type LogSource,
  type ReadyBatch,
  type ShadowHandle,
  type ShadowWriter,
  type SourceChunk,
  type SourceCluster,
  type TableSource,
} from '../ports.js';
import { FakeShadow } from './fake-shadow.js';
import { FakeTable } from './fake-table.js';

export class FakeCluster implements TableSource, LogSource, ShadowWriter {
  readonly clusterId = 'fake-1';
  readonly tables = new Map<string, FakeTable>();
  readonly shadows = new Map<string, FakeShadow>();
  rowsPerChunk = 3;
  /** Asked before each chunk; throws what is to go wrong. */
  onChunk: (table: string, chunk: number) => void | Promise<void> = () => undefined;
  onFill: (batch: number) => void = () => undefined;
  entriesPerPart = 3;
  /** Asked before each part of a log. */
  onPart: (table: string, from: number) => void = () => undefined;
  /** Logs that are followed, and the most there ever were. */
  followed = 0;
  followedMax = 0;
  /** Requests that were made, in their order. */
  readonly reads: ReadRequest[] = [];
  private nextId = 10_001;
  private waiting: (() => void)[] = [];

  create(name: string): FakeTable {
    const id = this.nextId++;
    return this.add(name, new FakeTable(id, id));
  }

  delete(name: string): void {
    this.tables.delete(name);
    this.touch();
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
      await this.onChunk(name, chunk);
      const some = changes.slice(at, at + this.rowsPerChunk);
      yield {
        position: chunk === 0 ? { tableId, epoch, appliedIndex: revision, revision } : undefined,
        rows: some.flatMap(({ row }) => (row ? [row] : [])),
        deletedKeys: some.flatMap(({ key, row }) => (row ? [] : [key])),
      };
      chunk++;
    }
  }

  async *watch(signal: AbortSignal): AsyncGenerator<SourceCluster, void, undefined> {
    let told = '';
    while (!signal.aborted) {
      const cluster = await this.cluster();
      const text = JSON.stringify(cluster);
      if (text !== told) yield cluster;
      told = text;
      if (JSON.stringify(await this.cluster()) === told) await this.touched(signal);
    }
  }

  async *follow(
    { table: { name, tableId }, from, previousCheck }: FollowRequest,
    signal: AbortSignal,
  ): AsyncGenerator<LogPart, void, undefined> {
    this.followedMax = Math.max(this.followedMax, ++this.followed);
    try {
      for (let next = from; !signal.aborted;) {
        this.onPart(name, next);
        const table = this.tables.get(name);
        if (table?.tableId !== tableId) {
          throw new BackupError('TABLE_CHANGED', `table ${name} is gone`);
        }
        const appliedIndex = table.revision;
        const checkOf = (index: number) => (BigInt(table.history) << 32n) | BigInt(index);
        if (next === from && previousCheck !== undefined && previousCheck !== checkOf(from - 1)) {
          yield { entries: [], cutAt: undefined, diverged: true, appliedIndex };
          return;
        }
        if (next < table.logFrom) {
          yield { entries: [], cutAt: table.logFrom, appliedIndex };
          return;
        }
        const due = table.log.filter(({ index }) => index >= next);
        const entries = due.slice(0, this.entriesPerPart);
        next += entries.length;
        const lastCheck = checkOf(next - 1);
        if (entries.length > 0) yield { entries, cutAt: undefined, lastCheck, appliedIndex };
        else await this.touched(signal);
      }
    } finally {
      this.followed--;
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
    const shadow = new FakeShadow(tableId, purpose);
    shadow.token = token;
    this.shadows.set(table, shadow);
    return { kind: 'begun', shadow: { table, tableId, token }, batches: 0, note };
  }

  ready(request: FillRequest): ReadyBatch {
    return { send: () => this.fill(request) };
  }

  private async fill(request: FillRequest): Promise<FillOutcome> {
    const { shadow, batch, rows, commands, note } = request;
    const there = this.shadows.get(shadow.table);
    if (!there || there.token !== shadow.token) return { kind: 'old-token', batches: 0 };
    if (batch > there.batches + 1) return { kind: 'out-of-order', batches: there.batches };
    if (batch === there.batches + 1) {
      there.fill(rows, commands);
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
    table.base = there.filled;
    table.revision = Math.max(revision, before?.revision ?? 0, table.revision) + 1;
    table.logFrom = table.revision + 1;
    this.shadows.delete(shadow.table);
    this.add(shadow.table, table);
    return { kind: 'completed', revision: table.revision, epoch: table.epoch };
  }

  async drop({ table, token }: ShadowHandle): Promise<boolean> {
    return this.shadows.get(table)?.token === token && this.shadows.delete(table);
  }

  private add(name: string, table: FakeTable): FakeTable {
    table.onChange = () => this.touch();
    this.tables.set(name, table);
    this.touch();
    return table;
  }

  private touch(): void {
    for (const tell of this.waiting.splice(0)) tell();
  }

  private touched(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const tell = (): void => {
        signal.removeEventListener('abort', tell);
        resolve();
      };
      this.waiting.push(tell);
      signal.addEventListener('abort', tell, { once: true });
      if (signal.aborted) tell();
    });
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
