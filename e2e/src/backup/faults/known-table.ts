/**
 * What a table must hold at each of its revisions, as whoever wrote to it knows.
 *
 * In: writes with the revision that they got, writes of which nobody knows whether they were done, what was
 * seen of the table while nobody wrote. Out: what is wrong with rows that are said to be of a revision.
 *
 *   held    revision 4: value 17 | revision 9: deleted | revision 12: value 20
 *   doubts  value 19, if at all after revision 9 and up to the next look
 */
import { type feedV1 } from '@flotilla/proto';
import { type MadeValues } from '../../harness/made-values.js';

/** Number of a value, as `MadeValues` has it; undefined: the key is not there. */
export type Content = number | undefined;

interface Held {
  readonly revision: number;
  readonly content: Content;
}

interface Doubt {
  readonly content: Content;
  /** Revisions that it can have: after the first, up to the second. */
  readonly after: number;
  until: number;
}

interface History {
  /** By revision. */
  readonly held: Held[];
  doubts: Doubt[];
}

export type SeenRow = Pick<feedV1.Row, 'key' | 'value' | 'modRevision'>;

const PROBLEMS_MAX = 5;

export class KnownTable {
  private readonly histories = new Map<string, History>();

  constructor(private readonly values: MadeValues) {}

  wrote(key: string, content: Content, revision: number): void {
    const { held } = this.history(key);
    held.push({ revision, content });
    // Of two writers one may be told later than the other.
    held.sort((one, other) => one.revision - other.revision);
  }

  /** Nobody knows whether this was done, only that it was not before what is known by now. */
  mayHaveWritten(key: string, content: Content): void {
    const history = this.history(key);
    const after = history.held.at(-1)?.revision ?? 0;
    history.doubts.push({ content, after, until: Infinity });
  }

  /** The table as it was at a revision, and may have gone on from there: what a restore in place makes. */
  at(revision: number): KnownTable {
    const copy = new KnownTable(this.values);
    for (const [key, { held, doubts }] of this.histories) {
      const last = held.findLast((each) => each.revision <= revision);
      const may = doubts
        .filter(({ after }) => after < revision)
        .map((doubt) => ({ ...doubt, until: Math.min(doubt.until, revision) }));
      copy.histories.set(key, { held: last ? [last] : [], doubts: may });
    }
    return copy;
  }

  /** What is wrong with rows that are all that there was at a revision; some of it, where it is much. */
  problems(rows: readonly SeenRow[], revision: number): string[] {
    const found: string[] = [];
    const seen = new Map(rows.map((row) => [row.key.toString(), row]));
    if (seen.size !== rows.length) found.push(`${rows.length - seen.size} keys came twice`);
    for (const key of seen.keys()) {
      if (!this.histories.has(key)) found.push(`${key}: nobody wrote it`);
    }
    for (const [key, history] of this.histories) {
      if (found.length >= PROBLEMS_MAX) break;
      const row = seen.get(key);
      if (this.explained(history, row, revision) !== undefined) continue;
      const shown = row ? `${row.value.length} bytes of ${row.modRevision}` : 'not there';
      const due = history.held.findLast((each) => each.revision <= revision);
      const dueText = due ? `value ${due.content ?? 'none'} of ${due.revision}` : 'nothing';
      found.push(`${key} is ${shown} at revision ${revision}, where ${dueText} is due`);
    }
    return found;
  }

  /** All that there is at a revision, while nobody writes and all is well: doubts end here. */
  settle(rows: readonly SeenRow[], revision: number): void {
    const seen = new Map(rows.map((row) => [row.key.toString(), row]));
    for (const [key, history] of this.histories) {
      const row = seen.get(key);
      const shown = this.explained(history, row, revision);
      if (row && shown !== undefined && 'after' in shown) {
        history.doubts = history.doubts.filter((doubt) => doubt !== shown);
        this.wrote(key, shown.content, Number(row.modRevision));
      }
      for (const doubt of history.doubts) doubt.until = Math.min(doubt.until, revision);
    }
  }

  /** The write that a row shows, or that a missing one does. */
  private explained(
    { held, doubts }: History,
    row: SeenRow | undefined,
    revision: number,
  ): Held | Doubt | undefined {
    const last = held.findLast((each) => each.revision <= revision);
    const lastRevision = last?.revision ?? 0;
    const open = doubts.filter(({ after, until }) => after < revision && until > lastRevision);
    if (!row) {
      if (last?.content === undefined) return last ?? { revision: 0, content: undefined };
      return open.find(({ content }) => content === undefined);
    }
    const modRevision = Number(row.modRevision);
    const isShown = (content: Content) =>
      content !== undefined && this.values.value(content).equals(row.value);
    if (last && modRevision === last.revision) return isShown(last.content) ? last : undefined;
    if (modRevision < lastRevision || modRevision > revision) return undefined;
    return open.find(
      ({ content, after, until }) =>
        isShown(content) && modRevision > after && modRevision <= until,
    );
  }

  private history(key: string): History {
    const known = this.histories.get(key);
    if (known) return known;
    const history = { held: [], doubts: [] };
    this.histories.set(key, history);
    return history;
  }
}
