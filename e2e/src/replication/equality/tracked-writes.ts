/**
 * Writers whose every write is known with its revision, and the judge of what was read elsewhere.
 *
 * In: keys with what they hold at first. Out: writes of all kinds, one history of each key, and what contradicts it: a
 * read that shows something no single revision held, or something older than the revision it told.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type FlotillaClient } from '@flotilla/client';
import { mvccV1 } from '@flotilla/proto';
import { type Draw } from '../../harness/seeded.js';

/** What a key held from a revision on; undefined while it was deleted. */
interface Held {
  readonly revision: number;
  readonly value: string | undefined;
}

export interface Observation {
  /** Revision that the answer told. */
  readonly revision: number;
  /** Of each key that was asked for, in the order of keys. */
  readonly seen: readonly {
    readonly key: string;
    readonly value: string | undefined;
    readonly modRevision: number;
  }[];
}

/** Revisions from the first one on, up to another one, excepted. */
interface Span {
  readonly from: number;
  readonly to: number;
}

interface HeldSpan extends Span {
  readonly value: string | undefined;
}

/** Behind all names of packages. */
const NEW = '~new/';
const NEW_KEYS = 200;
const RANGE_KEYS = 5;
const PAUSE_MS = 3;
const LOOK_MS = 20;
const CONTRADICTIONS_MAX = 10;

export class TrackedWrites {
  readonly failures: string[] = [];
  count = 0;
  lastRevision = 0;
  private readonly histories = new Map<string, Held[]>();
  private readonly sorted: string[];
  private readonly running: Promise<void>[] = [];
  private isStopped = false;
  private values = 0;

  constructor(
    private readonly leader: FlotillaClient,
    private readonly table: string,
    initial: readonly (readonly [string, Buffer])[],
    private readonly draw: Draw,
  ) {
    for (const [key, value] of initial) {
      this.histories.set(key, [{ revision: 0, value: value.toString() }]);
    }
    for (let nth = 0; nth < NEW_KEYS; nth++) {
      this.histories.set(newKey(nth), [{ revision: 0, value: undefined }]);
    }
    this.sorted = [...this.histories.keys()].sort(byBytes);
  }

  /** In the order of bytes. */
  get keys(): readonly string[] {
    return this.sorted;
  }

  start(writers: number): void {
    for (let nth = 0; nth < writers; nth++) this.running.push(this.write());
  }

  /** Settles once so many more are acknowledged. */
  async more(count: number): Promise<void> {
    const goal = this.count + count;
    while (this.count < goal && this.failures.length === 0) await sleep(LOOK_MS);
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all(this.running);
  }

  /** What cannot be, as text; only once no write is under way. */
  contradictions(observations: readonly Observation[]): string[] {
    for (const history of this.histories.values()) {
      history.sort((one, other) => one.revision - other.revision);
    }
    const found: string[] = [];
    for (const observation of observations) {
      const what = this.contradiction(observation);
      if (what !== undefined) found.push(what);
      if (found.length >= CONTRADICTIONS_MAX) break;
    }
    return found;
  }

  /** All keys of a read are of one moment, and that is not before the revision that was told. */
  private contradiction({ revision, seen }: Observation): string | undefined {
    let moments: readonly Span[] = [{ from: revision, to: Infinity }];
    for (const { key, value, modRevision } of seen) {
      const isShown = ({ from, value: held }: HeldSpan) =>
        held === value && (held === undefined || from === 0 || from === modRevision);
      moments = common(moments, this.spansOf(key).filter(isShown));
      if (moments.length > 0) continue;
      return `${key} is ${value} of ${modRevision} in a read that told revision ${revision}`;
    }
    return undefined;
  }

  /** When a key held what; a value of undefined for as long as it was not there, however often deleted. */
  private spansOf(key: string): HeldSpan[] {
    const spans: { from: number; to: number; value: string | undefined }[] = [];
    for (const { revision, value } of this.histories.get(key) ?? []) {
      const last = spans.at(-1);
      if (last && last.value === undefined && value === undefined) continue;
      if (last) last.to = revision;
      spans.push({ from: revision, to: Infinity, value });
    }
    return spans;
  }

  private async write(): Promise<void> {
    while (!this.isStopped) {
      try {
        await this.writeOnce();
        this.count++;
        await sleep(PAUSE_MS);
      } catch (error) {
        this.failures.push(String(error));
        return;
      }
    }
  }

  private async writeOnce(): Promise<void> {
    const { leader, table, draw, sorted } = this;
    const at = draw(sorted.length);
    const [key = '', other = ''] = [sorted[at], sorted[draw(sorted.length)]];
    const value = `value ${this.values++}`;
    switch (draw(8)) {
      case 0: {
        const { header } = await leader.deleteRange({ table, key });
        return this.wrote(header.revision, [[key, undefined]]);
      }
      case 1: {
        // Between other keys lie many that nobody keeps track of.
        const keys = sorted.slice(at, at + (key.startsWith(NEW) ? RANGE_KEYS : 1));
        const rangeEnd = Buffer.concat([Buffer.from(keys.at(-1) ?? key), Buffer.from([0])]);
        const { header } = await leader.deleteRange({ table, key, rangeEnd });
        return this.wrote(
          header.revision,
          keys.map((each) => [each, undefined]),
        );
      }
      case 2:
      case 3: {
        const pairs = [...new Set([key, other])].map((each) => [each, value] as const);
        const success = pairs.map(putOf);
        const { header } = await leader.txn({ table, compare: [], success, failure: [] });
        return this.wrote(header.revision, pairs);
      }
      default: {
        const { header } = await leader.put({ table, key, value });
        return this.wrote(header.revision, [[key, value]]);
      }
    }
  }

  private wrote(revision: number, pairs: readonly (readonly [string, string | undefined])[]): void {
    this.lastRevision = Math.max(this.lastRevision, revision);
    for (const [key, value] of pairs) this.histories.get(key)?.push({ revision, value });
  }
}

export function putOf([key, value]: readonly [string, Buffer | string]): mvccV1.RequestOp {
  const put = { key: Buffer.from(key), value: Buffer.from(value) };
  const request = { $case: 'requestPut', value: mvccV1.RequestOp_Put.fromPartial(put) } as const;
  return mvccV1.RequestOp.fromPartial({ request });
}

/** Where both hold. */
function common(some: readonly Span[], others: readonly Span[]): Span[] {
  const pairs = some.flatMap((one) => others.map((other) => [one, other] as const));
  return pairs
    .map(([one, other]) => ({
      from: Math.max(one.from, other.from),
      to: Math.min(one.to, other.to),
    }))
    .filter(({ from, to }) => from < to);
}

function newKey(nth: number): string {
  return `${NEW}${String(nth).padStart(4, '0')}`;
}

function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
