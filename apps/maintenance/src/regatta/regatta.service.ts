/**
 * `maintenance.v1.Maintenance`: backups as Regatta's own tool makes and restores them.
 *
 *   Backup    table --> records --> framed snappy --> chunks of 1 MiB
 *   Restore   chunks --> rows --> shadow --> the name means it
 *   Reset     in a follower cluster: copies are made anew out of sight, and served as they are until then
 *
 * In: their requests. Out: their answers, with the codes and texts of the contract. A restore is seen only
 * once its stream has ended well and was whole: there, what arrived of a broken one was restored silently.
 */
import { randomUUID } from 'node:crypto';
import {
  BackupError,
  isBackupError,
  restoreTable,
  type RowRecord,
  type ShadowWriter,
  type SourceTable,
  type TableSource,
} from '@flotilla/backup';
import {
  type CallContext,
  type GrpcServer,
  GrpcStatusError,
  type MessageSink,
  status,
} from '@flotilla/grpc';
import { type Logger } from '@flotilla/platform';
import { hot, maintenanceV1 as v1, replicationV1 } from '@flotilla/proto';
import { type Copies } from '../nodes/node-copies.js';
import { RegattaPacker, unpacked } from './regatta-stream.js';

export const MAINTENANCE_SERVICE = 'maintenance.v1.Maintenance';
/** Streams that are served at a time; each keeps a view of a table open, or a shadow. */
export const STREAMS_MAX = 16;
/** Purposes of shadows that streams fill: a stream that broke is never gone on with. */
const PURPOSE = 'restore-stream/';

export interface RegattaParts {
  readonly role: 'leader' | 'follower';
  readonly source: TableSource;
  readonly shadows: ShadowWriter;
  readonly copies: Copies;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

export class RegattaService {
  private running = 0;

  constructor(private readonly parts: RegattaParts) {}

  register(server: GrpcServer): void {
    const { role } = this.parts;
    const path = (method: string) => `/${MAINTENANCE_SERVICE}/${method}`;
    server.register(path('Backup'), 'server-stream', (bytes, call, sink) =>
      this.only('leader', 'Backup', () => this.backup(bytes, call, sink)),
    );
    server.register(path('Restore'), 'client-stream', (requests, call) =>
      this.only('leader', 'Restore', () => this.restore(requests, call)),
    );
    server.register(path('Reset'), 'unary', (bytes) =>
      this.only('follower', 'Reset', () => this.reset(bytes)),
    );
    this.parts.logger.info({ role }, 'maintenance.v1 is served');
  }

  private async backup(bytes: Buffer, call: CallContext, sink: MessageSink): Promise<void> {
    const name = v1.BackupRequest.decode(bytes).table;
    const { signal } = call;
    const table = await this.find(name.toString(), signal);
    if (!table) throw new BackupError('TABLE_CHANGED', 'table not found');
    const packer = new RegattaPacker();
    const send = async (chunks: Iterable<Buffer>) => {
      for (const data of chunks) {
        const chunk = { data, len: BigInt(data.length), index: 0n };
        await sink.write(replicationV1.SnapshotChunk.encode(chunk).finish());
      }
    };
    const request = { table, atRevision: 0, afterKey: undefined, sinceRevision: 0 };
    for await (const { rows } of this.parts.source.read(request, signal)) {
      const records = rows.map(({ key, value }) => hot.encodeSnapshotPair(name, key, value));
      await send(packer.push(Buffer.concat(records)));
    }
    await send(packer.end());
  }

  private async restore(requests: AsyncIterable<Buffer>, call: CallContext): Promise<Uint8Array> {
    const { shadows } = this.parts;
    const { signal } = call;
    const messages = requests[Symbol.asyncIterator]();
    const table = infoOf(await messages.next());
    const there = await this.find(table, signal);
    const purpose = `${PURPOSE}${randomUUID()}`;
    const begun = await shadows.begin(table, purpose, false);
    if (begun.kind === 'occupied' && !begun.purpose.startsWith(PURPOSE)) {
      throw new BackupError('RUN_BUSY', `table ${table} is being filled: ${begun.purpose}`);
    }
    const replaceShadow = begun.kind === 'occupied';
    const target = { table, replacesTableId: there?.tableId ?? 0, purpose, replaceShadow };
    const restored = await restoreTable(
      { shadows, signal, rows: () => rowsOf(messages, table), onProgress: () => undefined },
      { ...target, revision: REVISION },
    );
    this.parts.logger.info({ table, rows: restored.rows }, 'restored from a stream');
    return v1.RestoreResponse.encode({}).finish();
  }

  private async reset(bytes: Buffer): Promise<Uint8Array> {
    const { table, resetAll } = v1.ResetRequest.decode(bytes);
    if (!resetAll && table.length === 0) {
      throw new GrpcStatusError(status.INVALID_ARGUMENT, 'table must be set');
    }
    const known = await this.parts.copies.list();
    const wanted = resetAll ? known : known.filter((each) => each.table === table.toString());
    let isFound = resetAll;
    for (const copy of wanted) {
      if (!(await this.parts.copies.renew(copy))) continue;
      isFound = true;
      this.parts.logger.info({ table: copy.table }, 'a copy is wanted anew');
    }
    if (!isFound) throw new GrpcStatusError(status.UNKNOWN, 'table not found');
    return v1.ResetResponse.encode({}).finish();
  }

  private async find(name: string, signal: AbortSignal): Promise<SourceTable | undefined> {
    const { tables } = await this.parts.source.cluster(signal);
    return tables.find((each) => each.name === name);
  }

  private async only<T>(
    role: RegattaParts['role'],
    method: string,
    work: () => Promise<T>,
  ): Promise<T> {
    if (this.parts.role !== role) {
      throw new GrpcStatusError(status.UNIMPLEMENTED, `method ${method} not implemented`);
    }
    if (this.running >= STREAMS_MAX) {
      throw new GrpcStatusError(status.UNAVAILABLE, `${STREAMS_MAX} calls are served already`);
    }
    this.running++;
    try {
      return await work();
    } catch (error) {
      throw asRegatta(error);
    } finally {
      this.running--;
    }
  }
}

/** Backups of Regatta know no revisions: those of the table begin here, or go on above what was there. */
const REVISION = 1;

function infoOf(first: IteratorResult<Buffer, unknown>): string {
  if (first.done !== true) {
    const { data } = v1.RestoreMessage.decode(first.value);
    if (data?.$case === 'info' && data.value.table.length > 0) return data.value.table.toString();
  }
  throw new GrpcStatusError(status.UNKNOWN, 'first message should contain info');
}

async function* rowsOf(
  messages: AsyncIterator<Buffer>,
  table: string,
): AsyncGenerator<readonly RowRecord[], void, undefined> {
  const revisions = { createRevision: REVISION, modRevision: REVISION, version: 1 };
  for await (const pairs of unpacked(chunksOf(messages), `the backup of table ${table}`)) {
    yield pairs.map((pair) => ({ kind: 'row', ...pair, ...revisions }));
  }
}

async function* chunksOf(messages: AsyncIterator<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
    const { data } = v1.RestoreMessage.decode(next.value);
    if (data?.$case !== 'chunk') throw new GrpcStatusError(status.UNKNOWN, 'chunk expected');
    yield data.value.data;
  }
}

/** There, everything that goes wrong has the code Unknown. */
function asRegatta(error: unknown): unknown {
  if (!isBackupError(error)) return error;
  const code = error.code === 'SOURCE_CUT' ? status.UNAVAILABLE : status.UNKNOWN;
  return new GrpcStatusError(code, error.message, undefined, { cause: error });
}
