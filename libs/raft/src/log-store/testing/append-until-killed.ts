/**
 * A process that appends to a log and prints what was acknowledged, until somebody kills it.
 *
 * In: the directory as its argument. Out: lines `group index`, each printed only after the store has
 * acknowledged the entry. It never ends by itself.
 */
import { writeSync } from 'node:fs';

import { EntryType } from '../../core/types.js';
import { openLogStore } from '../index.js';

export const SEGMENT_BYTES = 16 * 1024;
const GROUPS = 3;
const WRITERS_PER_GROUP_BATCH = 4;

/** The payload says where it belongs, so that a mix-up shows. */
export function payloadOf(group: number, index: number): Uint8Array {
  return new TextEncoder().encode(`${group}/${index};`.repeat(1 + (index % 40)));
}

async function appendForEver(directory: string): Promise<never> {
  const store = await openLogStore(directory, { segmentBytesMax: SEGMENT_BYTES, cacheBytesMax: 0 });
  for (;;) {
    const writes = Array.from({ length: GROUPS }, async (_, group) => {
      const batch = store.batch();
      const first = store.group(group).lastIndex() + 1;
      const indexes = Array.from({ length: WRITERS_PER_GROUP_BATCH }, (_unused, at) => first + at);
      batch.appendEntries(
        group,
        indexes.map((index) => ({
          index,
          term: 1,
          type: EntryType.Normal,
          data: payloadOf(group, index),
        })),
      );
      await store.write(batch);
      writeSync(1, `${group} ${indexes.at(-1)}\n`);
    });
    await Promise.all(writes);
  }
}

const directory = process.argv[2];
if (directory !== undefined && process.argv[1]?.endsWith('append-until-killed.js') === true) {
  await appendForEver(directory);
}
