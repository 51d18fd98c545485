/**
 * A log whose entry at an index is always the same, for a process that is killed and one that checks.
 *
 * In: an index. Out: the entry there: puts, overwrites, deletes, batches and Txns over a few hundred
 * keys, with values that tell which entry wrote them.
 */
import { type mvccV1 } from '@flotilla/proto';
import { type LogEntry } from '../table/table-types.js';
import { compare, del, entry, opDelete, opPut, put, putBatch, txn } from './commands.js';

const KEYS = 400;

const keyAt = (index: number): string => `key-${(index * 7919) % KEYS}`;

function commandAt(index: number): mvccV1.Command {
  const value = `${index}:${'v'.repeat((index * 31) % 200)}`;
  switch (index % 11) {
    case 3:
      return del(keyAt(index));
    case 5:
      return del(keyAt(index), `${keyAt(index)}5`);
    case 7:
      return putBatch([0, 1, 2, 3].map((offset) => [keyAt(index + offset), value]));
    case 9:
      return txn({
        compare: [compare(keyAt(index))],
        success: [opPut(keyAt(index), value), opDelete(keyAt(index + 1))],
        failure: [opPut(keyAt(index + 2), value)],
      });
    default:
      return put(keyAt(index), value);
  }
}

export function crashLog(from: number, to: number): LogEntry[] {
  const log: LogEntry[] = [];
  for (let index = from; index <= to; index += 1) log.push(entry(index, commandAt(index)));
  return log;
}
