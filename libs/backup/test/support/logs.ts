/**
 * What the tests of shipped logs share: pieces that are stored as a test wants them, shippers that run until
 * they have everything, and restores to a point.
 */
import {
  BackupObjects,
  type BackupStore,
  historiesOf,
  LogCatalog,
  LogShipper,
  type LogShipperParts,
  LogWriter,
  planPoint,
  type Point,
  type PointPlan,
  pointSources,
  readersOf,
  restoreTable,
  type RestoredTable,
  type ShipEvent,
  shippedNames,
  SYSTEM_BACKUP_CLOCK,
} from '../../src/index.js';
import { type FakeTable } from '../../src/testing/index.js';
import { type Bench, KEYS, NEVER } from './backups.js';

export const INTERVAL_MS = 5;
const WAIT_MS = 60_000;

export interface Piece {
  readonly first: number;
  readonly last: number;
}

/** When a test lets an entry have been seen. */
export const seenAtMs = (revision: number) => 1_000_000 + revision * 10;

/** Stores a piece of a table's log, as a shipper would. */
export async function storePiece(
  bench: Bench,
  name: string,
  table: FakeTable,
  { first, last }: Piece,
  keyId = '',
): Promise<void> {
  const writer = new LogWriter(bench.objects, KEYS, keyId);
  const { tableId, epoch } = table;
  await writer.tellTable(bench.cluster.clusterId, { name, tableId, epoch }, NEVER);
  const entries = table.log
    .filter(({ index }) => index >= first && index <= last)
    .map((entry) => ({ kind: 'entry' as const, ...entry, atMs: seenAtMs(entry.index) }));
  await writer.write({ name, tableId, epoch }, entries, NEVER);
}

export async function planTo(bench: Bench, name: string, point: Point): Promise<PointPlan> {
  const logs = new LogCatalog(bench.objects, KEYS);
  const { good } = await bench.catalog.list();
  const shipped = await shippedNames(logs, NEVER);
  const histories = await historiesOf(name, good, logs, shipped, NEVER);
  const chainOf = async ({ manifest, table }: { manifest: { id: string }; table: unknown }) => {
    const chain = await bench.catalog.chain(manifest.id);
    readersOf(chain, table as Parameters<typeof readersOf>[1], bench.objects, KEYS);
    return chain;
  };
  return planPoint({ logs, chainOf, signal: NEVER }, name, histories, point, shipped.unreadable);
}

export async function restoreTo(
  bench: Bench,
  name: string,
  to: string,
  point: Point,
): Promise<RestoredTable> {
  const plan = await planTo(bench, name, point);
  const parts = {
    ...pointSources(plan, bench.objects, KEYS, NEVER),
    shadows: bench.cluster,
    signal: NEVER,
    onProgress: () => undefined,
  };
  return restoreTable(parts, {
    table: to,
    replacesTableId: bench.cluster.tables.get(to)?.tableId ?? 0,
    purpose: `restore/${plan.history.tableId}/${plan.revision}`,
    replaceShadow: false,
    revision: plan.revision,
  });
}

export interface Shipping {
  readonly shipper: LogShipper;
  readonly events: ShipEvent[];
}

export function startShipping(
  bench: Bench,
  options: Partial<LogShipperParts> & { readonly store?: BackupStore } = {},
): Shipping {
  const events: ShipEvent[] = [];
  const { store = bench.store, ...parts } = options;
  const shipper = new LogShipper({
    source: bench.cluster,
    objects: new BackupObjects(store),
    keys: KEYS,
    keyId: '',
    clock: SYSTEM_BACKUP_CLOCK,
    intervalMs: INTERVAL_MS,
    onEvent: (_, event) => events.push(event),
    ...parts,
  });
  shipper.start();
  return { shipper, events };
}

export async function until(what: string, isSo: () => boolean): Promise<void> {
  for (const untilMs = Date.now() + WAIT_MS; !isSo();) {
    if (Date.now() > untilMs) throw new Error(`not within ${WAIT_MS} ms: ${what}`);
    await SYSTEM_BACKUP_CLOCK.sleep(2);
  }
}

/** Until the log of every table is stored to its end. */
export function allStored(bench: Bench, { shipper }: Shipping): Promise<void> {
  return until('all logs are stored', () => {
    const tables = [...bench.cluster.tables.values()];
    const shippers = shipper.tables();
    return tables.every(({ tableId, revision }) =>
      shippers.some(
        ({ table, storedRevision }) => table.tableId === tableId && storedRevision === revision,
      ),
    );
  });
}
