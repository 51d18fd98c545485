/**
 * All rows of a catalog's table, in the order of their keys.
 */
import { type TableStateMachine } from '@flotilla/mvcc';
import { prefixEnd } from './catalog-rows.js';

/** First key of a catalog, and the end of all keys that it uses. */
const ALL_KEYS = { key: Buffer.from([1]), rangeEnd: prefixEnd(Buffer.from([0x7e])) };

export function* allRows(machine: TableStateMachine): Iterable<readonly [Buffer, Buffer]> {
  const pages = machine.iterate(ALL_KEYS);
  try {
    for (let page = pages.next(); page; page = pages.next()) {
      for (const { key, value } of page.kvs) yield [key, value];
      if (!page.more) return;
    }
  } finally {
    pages.close();
  }
}
