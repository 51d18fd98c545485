/**
 * What the objects of shipped logs are called.
 *
 *   logs/<table id>/table.json                                      whose log it is
 *   logs/<table id>/<epoch>/<first>-<last>-<SHA-256>.log            entries, both revisions with 20 digits
 *
 * By their names objects of an epoch are in the order of revisions, and what they hold is known without
 * reading them. Whoever ships the same entries once more writes beside what is there, never over it.
 */
export const LOGS_FOLDER = 'logs/';
const LOG = /^logs\/(\d{1,16})\/(\d{1,16})\/(\d{20})-(\d{20})-([0-9a-f]{64})\.log$/;
const TABLE_INFO = /^logs\/(\d{1,16})\/table\.json$/;
const REVISION_DIGITS = 20;

/** One object, as its name tells of it. */
export interface LogName {
  readonly name: string;
  readonly tableId: number;
  readonly epoch: number;
  readonly first: number;
  readonly last: number;
  readonly sha256: string;
}

export type LogRange = Pick<LogName, 'tableId' | 'epoch' | 'first' | 'last'>;

export function logTableFolder(tableId: number): string {
  return `${LOGS_FOLDER}${tableId}/`;
}

export function logEpochFolder(tableId: number, epoch: number): string {
  return `${logTableFolder(tableId)}${epoch}/`;
}

export function tableInfoName(tableId: number): string {
  return `${logTableFolder(tableId)}table.json`;
}

export function logName({ tableId, epoch, first, last }: LogRange, sha256: string): string {
  const range = `${padded(first)}-${padded(last)}`;
  return `${logEpochFolder(tableId, epoch)}${range}-${sha256}.log`;
}

/** Undefined if it is no object of a log. */
export function parseLogName(name: string): LogName | undefined {
  const [, table = '', epochText = '', firstText = '', lastText = '', sha256 = ''] =
    LOG.exec(name) ?? [];
  if (sha256 === '') return undefined;
  const [tableId, epoch] = [Number(table), Number(epochText)];
  const [first, last] = [Number(firstText), Number(lastText)];
  const isSafe = [tableId, epoch, first, last].every(Number.isSafeInteger);
  const isRange = first >= 1 && last >= first;
  return isSafe && isRange ? { name, tableId, epoch, first, last, sha256 } : undefined;
}

/** Id of the table that an object tells the name of. */
export function parseTableInfoName(name: string): number | undefined {
  const id = TABLE_INFO.exec(name)?.[1];
  return id === undefined ? undefined : Number(id);
}

function padded(revision: number): string {
  return String(revision).padStart(REVISION_DIGITS, '0');
}
