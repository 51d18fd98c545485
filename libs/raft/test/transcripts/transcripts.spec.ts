import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { replayTranscript, transcriptsBelow } from './suites.js';

const RECORDED = resolve(import.meta.dirname, '../../../../../shared/data/raft-transcripts');
const present = existsSync(RECORDED);
if (!present) console.warn('SKIPPED: the recorded raft transcripts are not beside the project');

describe.skipIf(!present)('recorded transcripts', () => {
  it.each(present ? transcriptsBelow(RECORDED) : [])('%s replays to the byte', (name) => {
    const { mismatches, total } = replayTranscript(RECORDED, name);
    expect(total).toBeGreaterThan(0);
    expect(mismatches).toEqual([]);
  });
});
