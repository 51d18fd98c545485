/**
 * What of the logs of tables stays for follower clusters, whatever the replicas here still need: the
 * newest entries, up to so many bytes and so much time of each table.
 *
 *   entries   ... 7 8 9 | 10 11 12 | 13 14      marks: up to here at 12:00, up to here at 12:05, ...
 *
 * In: groups as they are looked at every now and then. Out: up to which index each may be cut. Marks are
 * few and say less about the past; they begin anew with the process, and then entries stay for longer,
 * never shorter, than they should.
 */
import { type Group } from '@flotilla/raft';

export interface RetentionLimits {
  /** Bytes of commands of a table; 0 keeps nothing for follower clusters. */
  readonly bytes: number;
  /** 0 keeps nothing for follower clusters. */
  readonly timeMs: number;
}

/** A group as it is looked at. */
export type RetainedGroup = Pick<Group<unknown>, 'id' | 'appliedIndex' | 'log'>;

/** Marks of a table; when there are more, every second one goes. */
export const MARKS_MAX = 256;
/** Entries whose sizes are added up in one look, a millisecond or two of work. */
export const SCAN_ENTRIES_MAX = 100_000;
const SCAN_STEP_ENTRIES = 500;
/** As finely as this the bytes of a table are told apart. */
const MARKS_PER_LIMIT = 64;

/** Everything up to `index` was applied at `atMs` at the latest. */
interface Mark {
  readonly index: number;
  readonly atMs: number;
  /** Of all entries that were looked at, up to this one. */
  readonly bytes: number;
}

export class LogRetention {
  private readonly marks = new Map<number, Mark[]>();

  constructor(private readonly limits: RetentionLimits) {}

  /** Up to which index a group may be cut. */
  cutThrough(group: RetainedGroup, nowMs: number): number {
    if (this.keepsNothing) return Infinity;
    const { bytes, timeMs } = this.limits;
    const marks = this.look(group, nowMs);
    const old = marks.findLast(({ atMs }) => atMs <= nowMs - timeMs);
    return Math.max(old?.index ?? 0, beyond(marks, bytes));
  }

  /** The same when there is room for so many bytes of this group and no more. */
  cutToFit(group: RetainedGroup, bytesMax: number, nowMs: number): number {
    return this.keepsNothing ? Infinity : beyond(this.look(group, nowMs), bytesMax);
  }

  /** Groups that do not run here any more leave nothing behind. */
  keepOnly(running: ReadonlySet<number>): void {
    for (const id of this.marks.keys()) if (!running.has(id)) this.marks.delete(id);
  }

  private get keepsNothing(): boolean {
    return this.limits.bytes === 0 || this.limits.timeMs === 0;
  }

  private look({ id, appliedIndex, log }: RetainedGroup, nowMs: number): readonly Mark[] {
    const before = log.firstIndex() - 1;
    let marks = this.marks.get(id);
    const known = marks?.at(-1);
    // A log that begins after all that is known, or ends before it, is another one.
    if (!marks || !known || known.index < before || known.index > log.lastIndex()) {
      marks = [{ index: before, atMs: nowMs, bytes: 0 }];
    }
    const last = Math.min(appliedIndex, log.lastIndex());
    this.scan(log, marks, last, nowMs);
    marks = thinned(marks.filter((mark, at, all) => (all[at + 1]?.index ?? Infinity) > before));
    this.marks.set(id, marks);
    return marks;
  }

  private scan(log: RetainedGroup['log'], marks: Mark[], last: number, nowMs: number): void {
    let { index, bytes } = marks.at(-1) ?? { index: 0, bytes: 0 };
    const stepBytes = this.limits.bytes / MARKS_PER_LIMIT;
    const end = Math.min(last, index + SCAN_ENTRIES_MAX);
    let markedBytes = bytes;
    while (index < end) {
      const next = Math.min(end, index + SCAN_STEP_ENTRIES);
      bytes += log.payloadBytesBetween(index + 1, next + 1);
      index = next;
      if (index < end && bytes - markedBytes < stepBytes) continue;
      marks.push({ index, atMs: nowMs, bytes });
      markedBytes = bytes;
    }
  }
}

/** The index after which no more than so many bytes follow; 0 if there are not as many. */
function beyond(marks: readonly Mark[], bytesMax: number): number {
  const total = marks.at(-1)?.bytes ?? 0;
  const [first] = marks;
  if (!first || total - first.bytes <= bytesMax) return 0;
  return marks.find(({ bytes }) => total - bytes <= bytesMax)?.index ?? 0;
}

function thinned(marks: Mark[]): Mark[] {
  if (marks.length <= MARKS_MAX) return marks;
  // The first and the last one say where what is known begins and ends.
  return marks.filter((_, at) => at % 2 === 0 || at === marks.length - 1);
}
