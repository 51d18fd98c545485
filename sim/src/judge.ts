/**
 * Holds everything that happens in a simulation against what must always be true.
 *
 *   appends, leaders, applied entries --> Raft's safety properties
 *   applied entries and their results --> one judge for each table, the catalog's included
 *   what clients were told            --> the judge of the table it came from
 *
 * The first contradiction is kept and ends the simulation.
 */
import { createHash } from 'node:crypto';
import { CATALOG_GROUP } from '@flotilla/kv-node/simulation';
import { type Entry, type LogBatch, type LogStore } from '@flotilla/raft';
import { groupsOf, InvariantError, RaftInvariants, raftOf } from '@flotilla/raft/testing';
import { type SimNode } from './sim-node.js';
import { TableJudge } from './table-judge.js';

const DIGEST_DIGITS = 16;

export class Judge {
  /** Over everything that was committed and told to clients, in the order it happened. */
  private readonly hash = createHash('sha256');
  readonly raft = new RaftInvariants();
  readonly tables = new Map<number, TableJudge>();
  violation: Error | undefined;
  /** Values that were certainly not written, as a client was told. */
  private readonly refused = new Set<string>();
  private readonly written = new Map<string, string>();

  /** Runs a check; remembers the first that fails. */
  check(look: () => void): void {
    try {
      look();
    } catch (error) {
      this.violation ??= error instanceof Error ? error : new Error(String(error));
    }
  }

  /** Watches what enters the log of a node. */
  watchLog(node: SimNode, log: LogStore): void {
    const make = log.batch.bind(log);
    log.batch = () => {
      const batch = make();
      const append = batch.appendEntries.bind(batch);
      const watched: LogBatch['appendEntries'] = (group, entries) => {
        this.check(() => {
          const previous = previousTerm(node, group, entries);
          this.raft.appends(group, node.id, previous, entries);
        });
        append(group, entries);
      };
      batch.appendEntries = watched;
      return batch;
    };
  }

  applied(
    node: SimNode,
    group: number,
    entries: readonly Entry[],
    results: readonly unknown[],
  ): void {
    for (const { index, term } of entries) this.told(`${node.id}/${group}/${index}/${term}`);
    this.check(() => {
      this.raft.applies(group, node.id, termOf(node, group, entries), entries);
      const table = this.table(group);
      for (const [at, entry] of entries.entries()) table.applied(node.id, entry, results[at]);
    });
  }

  /** What happened, as a part of the digest. */
  told(what: string): void {
    this.hash.update(`${what}\n`);
  }

  digest(): string {
    return this.hash.copy().digest('hex').slice(0, DIGEST_DIGITS);
  }

  /** After every event in a process of the node. */
  looks(node: SimNode): void {
    const { core } = node;
    if (!core) return;
    this.check(() => {
      for (const group of groupsOf(core.runtime.host)) {
        this.raft.looks(group.id, node.id, raftOf(group));
      }
    });
  }

  /** What had been seen of each table at this moment. */
  floors(): ReadonlyMap<number, number> {
    return new Map([...this.tables].map(([id, { seenRevision }]) => [id, seenRevision]));
  }

  /** Tables of which a client was told by now that they are deleted. */
  deletedTables(): ReadonlySet<number> {
    return new Set([...this.tables.values()].filter((each) => each.isDeleted).map(({ id }) => id));
  }

  table(id: number): TableJudge {
    const known = this.tables.get(id);
    if (known) return known;
    // The catalog's rows are no client's: the same one may well come back.
    const judge = new TableJudge(id, (value, table, index) => {
      if (id !== CATALOG_GROUP) this.commits(value, table, index);
    });
    this.tables.set(id, judge);
    return judge;
  }

  /** A client was told that its write certainly did not happen. */
  refuses(value: string): void {
    this.refused.add(value);
    this.check(() => {
      const where = this.written.get(value);
      if (where) throw new InvariantError('refused write', `${value} is at ${where}`);
    });
  }

  private commits(value: string, table: number, index: number): void {
    const where = `table ${table}, index ${index}`;
    if (this.refused.has(value))
      throw new InvariantError('refused write', `${value} is at ${where}`);
    const before = this.written.get(value);
    if (before)
      throw new InvariantError('written once', `${value} is at ${before} and at ${where}`);
    this.written.set(value, where);
  }
}

function previousTerm(node: SimNode, group: number, entries: readonly Entry[]): number | undefined {
  const first = entries[0];
  if (!first) return undefined;
  if (first.index === 1) return 0;
  const running = groupAt(node, group);
  const log = running && raftOf(running).log;
  return log && first.index - 1 >= log.firstIndex() ? log.termOrZero(first.index - 1) : undefined;
}

/** The term of a replica that applies entries; before it is put together, that of the entries. */
function termOf(node: SimNode, group: number, entries: readonly Entry[]): number {
  const running = groupAt(node, group);
  return running ? raftOf(running).term : (entries.at(-1)?.term ?? 0);
}

function groupAt(node: SimNode, id: number) {
  if (!node.core) return undefined;
  for (const group of groupsOf(node.core.runtime.host)) if (group.id === id) return group;
  return undefined;
}
