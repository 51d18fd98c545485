/**
 * Judges what clients were told about one table by what was committed to it.
 *
 *   first replica to apply an entry --> applied to a copy here, once, in order
 *   any other replica               --> must have applied the same, with the same result
 *   answer to a client              --> must be what the copy says, at a revision that its time allows
 *
 * A write takes effect at its own revision, so a history is linearizable exactly if revisions respect
 * real time, and every linearizable read fits one revision between the newest that was seen before
 * it began and the newest there is when it is answered.
 */
import { isDeepStrictEqual } from 'node:util';
import { TableStateMachine, type ApplyResult, type TableRow } from '@flotilla/mvcc';
import { SimulatedEngine } from '@flotilla/mvcc/simulation';
import { mvccV1 } from '@flotilla/proto';
import { EntryType, type Entry } from '@flotilla/raft';
import { InvariantError } from '@flotilla/raft/testing';

const NOTHING = new Uint8Array(0);

/** What a client saw of a key. */
export interface SeenRow {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
}

export class TableJudge {
  readonly copy: TableStateMachine;
  private readonly results = new Map<number, ApplyResult>();
  private readonly shown = new Map<number, string>();
  private readonly commands = new Map<number, mvccV1.Command>();
  /** Newest revision that any client knows of. */
  seenRevision = 0;
  /** A client was told that the table is deleted. */
  isDeleted = false;
  acknowledged = 0;
  readCount = 0;

  constructor(
    readonly id: number,
    private readonly onValue: (value: string, table: number, index: number) => void,
  ) {
    this.copy = new TableStateMachine({ engine: new SimulatedEngine(), tableId: id });
  }

  get appliedIndex(): number {
    return this.copy.state.appliedIndex;
  }

  applied(node: number, entry: Entry, result: unknown): void {
    const { index } = entry;
    if (index > this.appliedIndex + 1) {
      const detail = `node ${node} applied ${index}, but nobody ${this.appliedIndex + 1} before`;
      throw new InvariantError('order', `table ${this.id}: ${detail}`);
    }
    if (index === this.appliedIndex + 1) this.take(entry);
    if (shown(result) !== this.shown.get(index)) {
      const detail = `node ${node} got another result for entry ${index} than the first replica`;
      throw new InvariantError('determinism', `table ${this.id}: ${detail}`);
    }
  }

  /** A client was told that a write is done. `holds` says whether a command is that write. */
  acknowledges(
    floor: number,
    revision: number,
    holds: (command: mvccV1.Command, result: ApplyResult) => boolean,
  ): void {
    const where = `table ${this.id}, revision ${revision}`;
    if (revision <= floor) {
      const detail = `acknowledged, but began after ${floor} had been seen`;
      throw new InvariantError('real time order', `${where}: ${detail}`);
    }
    const command = this.commands.get(revision);
    const result = this.results.get(revision);
    if (!command || !result || !holds(command, result)) {
      throw new InvariantError('acknowledged write', `${where}: what was committed is not it`);
    }
    this.acknowledged++;
    this.sees(revision);
  }

  /** A client read all keys of a range at once. */
  reads(floor: number, range: { start: string; end: string }, rows: readonly SeenRow[]): void {
    const newest = this.copy.state.revision;
    for (let revision = Math.min(floor, newest); revision <= newest; revision++) {
      if (!isDeepStrictEqual(this.rowsAt(range, revision), rows)) continue;
      this.readCount++;
      // The first that fits is the least that was seen, also where what was seen is that a row is gone.
      this.sees(revision);
      return;
    }
    const told = JSON.stringify(rows);
    const right = JSON.stringify(this.rowsAt(range, newest));
    const detail = `told ${told}, newest is ${right} at ${newest}, and ${floor} had been seen before`;
    throw new InvariantError('linearizable read', `table ${this.id}: ${detail}`);
  }

  /** A read that may be stale: each row must have been there once. */
  readsStale(rows: readonly SeenRow[]): void {
    for (const row of rows) {
      const { key, modRevision } = row;
      const known = modRevision <= this.copy.state.revision;
      const then = known ? this.copy.get(Buffer.from(key), { revision: modRevision }) : undefined;
      if (!then || !isDeepStrictEqual(seen(then), row)) {
        const detail = `${JSON.stringify(row)} was never there`;
        throw new InvariantError('stale read', `table ${this.id}: ${detail}`);
      }
    }
  }

  resultAt(revision: number): ApplyResult | undefined {
    return this.results.get(revision);
  }

  sees(revision: number): void {
    this.seenRevision = Math.max(this.seenRevision, revision);
  }

  private rowsAt({ start, end }: { start: string; end: string }, revision: number): SeenRow[] {
    const query = { key: Buffer.from(start), rangeEnd: Buffer.from(end), revision };
    return this.copy.range(query).kvs.map(seen);
  }

  private take({ index, type, data }: Entry): void {
    const command = type === EntryType.Normal ? data : NOTHING;
    const [result] = this.copy.apply([{ index, data: command }]);
    if (!result) throw new Error('an entry without a result');
    this.results.set(index, result);
    this.shown.set(index, shown(result));
    if (command.length === 0) return;
    const decoded = mvccV1.Command.decode(command);
    this.commands.set(index, decoded);
    for (const value of valuesOf(decoded)) this.onValue(value, this.id, index);
  }
}

/** Every value a command would write, in whatever branch. */
export function valuesOf(command: mvccV1.Command): string[] {
  const values: string[] = [];
  const take = (kv: { value: Uint8Array } | undefined) => {
    if (kv && kv.value.length > 0) values.push(Buffer.from(kv.value).toString());
  };
  take(command.kv);
  for (const kv of command.batch) take(kv);
  for (const { request } of [...(command.txn?.success ?? []), ...(command.txn?.failure ?? [])]) {
    if (request?.$case === 'requestPut') take(request.value);
  }
  return values;
}

export function seen(row: TableRow): SeenRow {
  const { createRevision, modRevision } = row;
  return { key: row.key.toString(), value: row.value.toString(), createRevision, modRevision };
}

/** The same text for the same result, whatever kind of buffers it holds. */
function shown(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) => {
    if (typeof each === 'bigint') return `${each}n`;
    return each instanceof Uint8Array ? Buffer.from(each).toString('latin1') : each;
  });
}
