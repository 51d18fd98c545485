/**
 * `flotilla.maintenance.v1.Backups`: what operators ask for.
 *
 * In: requests. Out: streams of how far it is, ended by the outcome; errors with the code that tells what
 * can be done. A caller that goes away ends its backup or restore, which the next one goes on with.
 */
import {
  type BackupErrorCode,
  type BackupEvent,
  isBackupError,
  type RetentionRules,
} from '@flotilla/backup';
import {
  type CallContext,
  type GrpcServer,
  GrpcStatusError,
  type MessageSink,
  status,
  type StatusCode,
} from '@flotilla/grpc';
import { hasCode } from '@flotilla/object-store';
import { type Logger } from '@flotilla/platform';
import { backupsV1 as v1 } from '@flotilla/proto';
import { type MaintenanceClock } from '../maintenance-clock.js';
import { type BackupEngine } from './backup-engine.js';
import { type BackupMetrics, type Outcome, type Work } from './backup-metrics.js';
import { tableProgress, toBackup, toListing, toProgress } from './backup-messages.js';
import { ProgressSink } from './progress-sink.js';
import { toDone, toPlan } from './restore-messages.js';

export const BACKUPS_SERVICE = 'flotilla.maintenance.v1.Backups';

/** The last moment that a date can tell. */
const TIME_MS_MAX = 8.64e15;

interface Codec<T> {
  decode(bytes: Uint8Array): T;
}

export class BackupsService {
  constructor(
    private readonly engine: BackupEngine | undefined,
    private readonly rules: RetentionRules,
    private readonly clock: MaintenanceClock,
    private readonly logger: Pick<Logger, 'info' | 'warn'>,
    private readonly metrics: Pick<BackupMetrics, 'ended'>,
  ) {}

  register(server: GrpcServer): void {
    this.unary(server, 'List', v1.ListBackupsRequest, (engine, _, call) => this.list(engine, call));
    this.unary(server, 'Show', v1.ShowBackupRequest, (engine, request, call) =>
      this.show(engine, request, call),
    );
    this.unary(server, 'Prune', v1.PruneBackupsRequest, (engine, request, call) =>
      this.prune(engine, request, call),
    );
    this.stream(server, 'Create', v1.CreateBackupRequest, (...each) => this.create(...each));
    this.stream(server, 'Verify', v1.VerifyBackupRequest, (...each) => this.verify(...each));
    this.stream(server, 'Restore', v1.RestoreBackupRequest, (...each) => this.restore(...each));
  }

  private async list(engine: BackupEngine, call: CallContext): Promise<Uint8Array> {
    const listing = await engine.list(call.signal);
    const logs = await engine.logs(listing, call.signal);
    return v1.ListBackupsResponse.encode(toListing(listing, logs)).finish();
  }

  private async show(
    engine: BackupEngine,
    { id }: v1.ShowBackupRequest,
    call: CallContext,
  ): Promise<Uint8Array> {
    const chain = await engine.chain(id, call.signal);
    const newest = chain.at(-1);
    const backup = newest && toBackup(newest, true);
    const ids = chain.map((manifest) => manifest.id);
    return v1.ShowBackupResponse.encode({ backup, chain: ids }).finish();
  }

  private async prune(
    engine: BackupEngine,
    { dryRun }: v1.PruneBackupsRequest,
    call: CallContext,
  ): Promise<Uint8Array> {
    const prune = () => engine.prune(this.rules, dryRun, call.signal);
    const report = dryRun ? await prune() : await this.counted('prune', prune);
    const decisions = report.decisions.map(({ id, keep, reason }) => {
      return { id, deleted: !keep, reason };
    });
    const deletedObjects = BigInt(report.deletedObjects);
    return v1.PruneBackupsResponse.encode({ decisions, deletedObjects }).finish();
  }

  private async create(
    engine: BackupEngine,
    request: v1.CreateBackupRequest,
    call: CallContext,
    sink: MessageSink,
  ): Promise<void> {
    const { CreateBackupProgress: Progress, BackupKind } = v1;
    const told = new ProgressSink<v1.CreateBackupProgress>(sink, this.clock, (message) =>
      Progress.encode(message).finish(),
    );
    const { tables, parent } = request;
    const kind = request.kind === BackupKind.INCREMENTAL ? 'incremental' : 'full';
    const onEvent = (event: BackupEvent) => {
      const about = event.kind === 'begun' ? '' : event.table;
      told.step(about, toProgress(event), event.kind !== 'table' || event.done);
    };
    const manifest = await this.counted(kind, () =>
      engine.create({ kind, tables, parent }, call.signal, onEvent),
    );
    const done = toBackup(manifest, true);
    await told.tell({ kind: { $case: 'done', value: done } });
  }

  private async verify(
    engine: BackupEngine,
    { id }: v1.VerifyBackupRequest,
    call: CallContext,
    sink: MessageSink,
  ): Promise<void> {
    const told = new ProgressSink<v1.VerifyBackupProgress>(sink, this.clock, (message) =>
      v1.VerifyBackupProgress.encode(message).finish(),
    );
    const report = await engine.verify(id, call.signal, (table, chunks) =>
      told.step(table, { kind: { $case: 'table', value: tableProgress(table, chunks, 0) } }),
    );
    const outcome = {
      id: report.id,
      rows: BigInt(report.rows),
      chunks: BigInt(report.chunks),
      plainBytes: BigInt(report.plainBytes),
      problemCount: BigInt(report.problemCount),
      problems: [...report.problems],
    };
    await told.tell({ kind: { $case: 'report', value: outcome } });
  }

  private async restore(
    engine: BackupEngine,
    request: v1.RestoreBackupRequest,
    call: CallContext,
    sink: MessageSink,
  ): Promise<void> {
    const told = new ProgressSink<v1.RestoreBackupProgress>(sink, this.clock, (message) =>
      v1.RestoreBackupProgress.encode(message).finish(),
    );
    const beforeMs = Math.min(Number(request.beforeMs), TIME_MS_MAX);
    const atRevision = request.atRevision === undefined ? undefined : Number(request.atRevision);
    const atMs =
      request.atMs === undefined ? undefined : Math.min(Number(request.atMs), TIME_MS_MAX);
    const wish = { ...request, beforeMs, atRevision, atMs };
    const plan = await engine.plan(wish, call.signal);
    await told.tell({ kind: { $case: 'plan', value: toPlan(plan, request.dryRun) } });
    if (request.dryRun) return;
    const restored = await engine.restore(plan, call.signal, ({ as }, { rows, bytes }) =>
      told.step(as, { kind: { $case: 'table', value: tableProgress(as, rows, bytes) } }),
    );
    await told.tell({ kind: { $case: 'done', value: toDone(restored) } });
  }

  private unary<T>(
    server: GrpcServer,
    method: string,
    codec: Codec<T>,
    handle: (engine: BackupEngine, request: T, call: CallContext) => Promise<Uint8Array>,
  ): void {
    server.register(`/${BACKUPS_SERVICE}/${method}`, 'unary', (bytes, call) =>
      this.told(method, (engine) => handle(engine, codec.decode(bytes), call)),
    );
  }

  private stream<T>(
    server: GrpcServer,
    method: string,
    codec: Codec<T>,
    handle: (
      engine: BackupEngine,
      request: T,
      call: CallContext,
      sink: MessageSink,
    ) => Promise<void>,
  ): void {
    server.register(`/${BACKUPS_SERVICE}/${method}`, 'server-stream', (bytes, call, sink) =>
      this.told(method, (engine) => handle(engine, codec.decode(bytes), call, sink)),
    );
  }

  /** In the metrics, as what the schedule does. */
  private async counted<T>(work: Work, run: () => Promise<T>): Promise<T> {
    const startedMs = this.clock.nowMs();
    const ended = (outcome: Outcome) =>
      this.metrics.ended(work, outcome, this.clock.nowMs() - startedMs, this.clock.wallMs());
    try {
      const result = await run();
      ended('done');
      return result;
    } catch (error) {
      ended(isBackupError(error, 'RUN_BUSY') ? 'skipped' : 'failed');
      throw error;
    }
  }

  private async told<T>(method: string, work: (engine: BackupEngine) => Promise<T>): Promise<T> {
    const { engine } = this;
    if (!engine) {
      throw new GrpcStatusError(status.FAILED_PRECONDITION, 'backup.store is not set');
    }
    const startedMs = this.clock.nowMs();
    try {
      const outcome = await work(engine);
      this.logger.info({ method, durationMs: this.clock.nowMs() - startedMs }, 'done');
      return outcome;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.logger.warn({ method, reason }, 'failed');
      throw statusOf(error);
    }
  }
}

const STATUS: Readonly<Record<BackupErrorCode, StatusCode>> = {
  BACKUP_NOT_FOUND: status.NOT_FOUND,
  BACKUP_DAMAGED: status.DATA_LOSS,
  BACKUP_UNREADABLE: status.FAILED_PRECONDITION,
  REVISION_GONE: status.OUT_OF_RANGE,
  TABLE_CHANGED: status.ABORTED,
  RUN_BUSY: status.ALREADY_EXISTS,
  RUN_FENCED: status.ABORTED,
  INVALID: status.INVALID_ARGUMENT,
  SOURCE_CUT: status.UNAVAILABLE,
  LIMIT: status.RESOURCE_EXHAUSTED,
};

function statusOf(error: unknown): unknown {
  if (isBackupError(error)) {
    return new GrpcStatusError(STATUS[error.code], error.message, undefined, { cause: error });
  }
  if (hasCode(error, 'STORE_UNAVAILABLE', 'STORE_DEADLINE') && error instanceof Error) {
    return new GrpcStatusError(status.UNAVAILABLE, error.message, undefined, { cause: error });
  }
  if (hasCode(error, 'STORE_DENIED', 'STORE_FULL') && error instanceof Error) {
    return new GrpcStatusError(status.FAILED_PRECONDITION, error.message, undefined, {
      cause: error,
    });
  }
  return error;
}
