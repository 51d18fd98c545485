/**
 * What operators ask of a maintenance app, in one call each, to its end.
 *
 * In: the address of the app. Out: outcomes; what failed is a `CallFailure` with the name of its status, so that
 * whoever asked can tell what was interrupted from what was refused.
 */
import { createGrpcClient, GrpcStatusError, status, type StatusName } from '@flotilla/grpc';
import { backupsV1 as v1, shadowV1 } from '@flotilla/proto';

const SERVICE = '/flotilla.maintenance.v1.Backups';
const LIST_SHADOWS = '/flotilla.tables.v1.ShadowTables/List';
const CALL_MS = 300_000;
const NAMES = new Map<number, StatusName>(
  (Object.keys(status) as StatusName[]).map((name) => [status[name], name]),
);

export class CallFailure extends Error {
  readonly retryable: boolean;

  constructor(
    readonly code: StatusName,
    message: string,
    options: { cause: unknown },
  ) {
    super(`${code}: ${message}`, options);
    this.name = 'CallFailure';
    // What was interrupted, what another run is busy with until it is known to be dead, what changed under it.
    this.retryable = [
      'UNAVAILABLE',
      'DEADLINE_EXCEEDED',
      'CANCELLED',
      'ALREADY_EXISTS',
      'ABORTED',
    ].includes(code);
  }
}

const nothing = (): void => undefined;

export interface Made {
  readonly backup: v1.Backup;
  readonly resumed: boolean;
}

export class BackupCalls {
  constructor(
    private readonly address: string,
    private readonly deadlineMs = CALL_MS,
  ) {}

  async create(kind: v1.BackupKind, onProgress = nothing): Promise<Made> {
    const request = v1.CreateBackupRequest.encode({ kind, tables: [], parent: '' }).finish();
    let resumed = false;
    let backup: v1.Backup | undefined;
    await this.stream('Create', request, (bytes) => {
      const { kind: step } = v1.CreateBackupProgress.decode(bytes);
      if (step?.$case === 'begun') ({ resumed } = step.value);
      if (step?.$case === 'table' && step.value.rows > 0n) onProgress();
      if (step?.$case === 'done') backup = step.value;
    });
    if (!backup) throw new Error('the app has not told the backup');
    return { backup, resumed };
  }

  async list(): Promise<v1.ListBackupsResponse> {
    const request = v1.ListBackupsRequest.encode({}).finish();
    return v1.ListBackupsResponse.decode(await this.unary('List', request));
  }

  async show(id: string): Promise<v1.ShowBackupResponse> {
    const request = v1.ShowBackupRequest.encode({ id }).finish();
    return v1.ShowBackupResponse.decode(await this.unary('Show', request));
  }

  async verify(id: string): Promise<v1.VerifyBackupProgress_Report> {
    const request = v1.VerifyBackupRequest.encode({ id }).finish();
    let report: v1.VerifyBackupProgress_Report | undefined;
    await this.stream('Verify', request, (bytes) => {
      const { kind: step } = v1.VerifyBackupProgress.decode(bytes);
      if (step?.$case === 'report') report = step.value;
    });
    if (!report) throw new Error('the app has not told what is wrong');
    return report;
  }

  async prune(): Promise<v1.PruneBackupsResponse> {
    const request = v1.PruneBackupsRequest.encode({ dryRun: false }).finish();
    return v1.PruneBackupsResponse.decode(await this.unary('Prune', request));
  }

  async restore(
    wish: Partial<v1.RestoreBackupRequest>,
    onProgress = nothing,
  ): Promise<v1.RestoreBackupProgress_RestoredTable[]> {
    const request = v1.RestoreBackupRequest.encode(v1.RestoreBackupRequest.fromPartial(wish));
    let tables: v1.RestoreBackupProgress_RestoredTable[] | undefined;
    await this.stream('Restore', request.finish(), (bytes) => {
      const { kind: step } = v1.RestoreBackupProgress.decode(bytes);
      if (step?.$case === 'table' && step.value.rows > 0n) onProgress();
      if (step?.$case === 'done') ({ tables } = step.value);
    });
    if (!tables) throw new Error('the app has not told what it has restored');
    return tables;
  }

  private unary(method: string, request: Uint8Array): Promise<Uint8Array> {
    return call(this.address, (client) =>
      client.unary(`${SERVICE}/${method}`, request, { deadlineMs: this.deadlineMs }),
    );
  }

  private stream(
    method: string,
    request: Uint8Array,
    take: (bytes: Uint8Array) => void,
  ): Promise<void> {
    return call(this.address, async (client) => {
      const options = { deadlineMs: this.deadlineMs };
      for await (const bytes of client.serverStream(`${SERVICE}/${method}`, request, options)) {
        take(bytes);
      }
    });
  }
}

/** Tables of a cluster that are filled out of sight. */
export async function listShadows(node: string): Promise<shadowV1.Shadow[]> {
  const request = shadowV1.ListShadowsRequest.encode({}).finish();
  const options = { deadlineMs: CALL_MS };
  const bytes = await call(node, (client) => client.unary(LIST_SHADOWS, request, options));
  return shadowV1.ListShadowsResponse.decode(bytes).shadows;
}

async function call<T>(
  address: string,
  work: (client: ReturnType<typeof createGrpcClient>) => Promise<T>,
): Promise<T> {
  const client = createGrpcClient(address);
  try {
    return await work(client);
  } catch (error) {
    if (!(error instanceof GrpcStatusError)) throw error;
    throw new CallFailure(NAMES.get(error.code) ?? 'UNKNOWN', error.message, { cause: error });
  } finally {
    client.close();
  }
}
