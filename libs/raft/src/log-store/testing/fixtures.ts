/** Small makers that the log store's own tests share: entries, configurations, directories. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type ConfState, type Entry, EntryType } from '../../core/types.js';
import type { GroupLog } from '../types.js';

export function entry(index: number, term: number, text = `entry ${index} of term ${term}`): Entry {
  return { index, term, type: EntryType.Normal, data: new TextEncoder().encode(text) };
}

export function entries(from: number, to: number, term: number): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => entry(from + at, term));
}

export function confState(...voters: number[]): ConfState {
  return { voters, learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
}

/** Everything a group holds, in plain form, for comparing. */
export function contentOf(log: GroupLog): unknown {
  const first = log.firstIndex();
  const last = log.lastIndex();
  const stored = log.entries(first, last + 1, Number.POSITIVE_INFINITY);
  return {
    ...log.initialState(),
    confIndex: log.confStateIndex(),
    first,
    last,
    termBefore: log.term(first - 1),
    floor: log.voteFloor(),
    entries: stored.map(({ index, term, type, data }) => ({
      index,
      term,
      type,
      data: Buffer.from(data).toString('latin1'),
    })),
  };
}

export function temporaryDirectory(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'raft-log-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
