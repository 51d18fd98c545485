/**
 * The rows that are backed up: keys of 20 bytes, values of 1 KiB that pack to half of it.
 *
 * In: how many. Out: nothing but the rows in the table, put by transactions, some at a time. Half of each
 * value is random and occurs once; the other half is the same text everywhere.
 */
import { randomFillSync } from 'node:crypto';
import { createGrpcClient } from '@flotilla/grpc';
import { eachOf } from '../replication/cluster-pair.js';
import { regattaProtocol } from '../servers/regatta-protocol.js';

const KEY_DIGITS = 14;
export const VALUE_BYTES = 1024;
const RANDOM_BYTES = VALUE_BYTES / 2;
const BATCH_ROWS = 100;
const CONCURRENCY = 8;
const CALL_MS = 60_000;

export function rowKey(number: number): Buffer {
  return Buffer.from(`order-${String(number).padStart(KEY_DIGITS, '0')}`);
}

/** How many of them make so many megabytes. */
export function rowsOf(megabytes: number): number {
  const rows = Math.ceil((megabytes * 1e6) / VALUE_BYTES);
  return Math.ceil(rows / BATCH_ROWS) * BATCH_ROWS;
}

export async function loadRows(address: string, rows: number): Promise<void> {
  const client = createGrpcClient(`http://${address}`);
  try {
    await eachOf(rows / BATCH_ROWS, CONCURRENCY, async (nth) => {
      const request = regattaProtocol.putAll(batchFrom(nth * BATCH_ROWS));
      await client.unary(regattaProtocol.txnPath, request, { deadlineMs: CALL_MS });
    });
  } finally {
    client.close();
  }
}

function batchFrom(first: number): { readonly key: Buffer; readonly value: Buffer }[] {
  const random = randomFillSync(Buffer.allocUnsafe(BATCH_ROWS * RANDOM_BYTES));
  return Array.from({ length: BATCH_ROWS }, (_, at) => {
    const value = Buffer.alloc(VALUE_BYTES, 'of which half can be packed ');
    random.copy(value, 0, at * RANDOM_BYTES, (at + 1) * RANDOM_BYTES);
    return { key: rowKey(first + at), value };
  });
}
