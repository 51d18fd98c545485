/**
 * Opens a log directory. Signature only at this point; the implementation follows.
 */
import { LogStoreError } from './errors.js';
import type { LogStore, LogStoreOptions } from './types.js';

export async function openLogStore(dir: string, _options: LogStoreOptions = {}): Promise<LogStore> {
  throw new LogStoreError('io', `cannot open ${dir}: the log store is not there yet`);
}
