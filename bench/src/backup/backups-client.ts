/**
 * The three calls of `flotilla.maintenance.v1.Backups` that are measured.
 *
 * In: the address of a maintenance app. Out: the last message of each stream, which is its outcome; a
 * stream that ends without one has failed.
 */
import { createGrpcClient, type GrpcClient } from '@flotilla/grpc';
import { backupsV1 as v1 } from '@flotilla/proto';

const SERVICE = '/flotilla.maintenance.v1.Backups';
const CALL_MS = 60 * 60_000;

export class BackupsClient {
  private readonly client: GrpcClient;

  constructor(address: string) {
    this.client = createGrpcClient(address);
  }

  async create(): Promise<v1.Backup> {
    const request = v1.CreateBackupRequest.encode(v1.CreateBackupRequest.fromPartial({}));
    const bytes = await this.last('Create', request.finish());
    const { kind } = v1.CreateBackupProgress.decode(bytes);
    if (kind?.$case !== 'done') throw new Error('the backup has not ended');
    return kind.value;
  }

  /** Throws where anything is wrong with it. */
  async verify(id: string): Promise<v1.VerifyBackupProgress_Report> {
    const bytes = await this.last('Verify', v1.VerifyBackupRequest.encode({ id }).finish());
    const { kind } = v1.VerifyBackupProgress.decode(bytes);
    if (kind?.$case !== 'report') throw new Error('the backup was not verified');
    const { problemCount, problems } = kind.value;
    if (problemCount > 0n) throw new Error(`the backup is damaged: ${problems[0]?.message}`);
    return kind.value;
  }

  async restore(id: string, table: string, as: string): Promise<v1.RestoreBackupProgress_Done> {
    const request = v1.RestoreBackupRequest.fromPartial({ id, tables: [table], as });
    const bytes = await this.last('Restore', v1.RestoreBackupRequest.encode(request).finish());
    const { kind } = v1.RestoreBackupProgress.decode(bytes);
    if (kind?.$case !== 'done') throw new Error('the restore has not ended');
    return kind.value;
  }

  close(): void {
    this.client.close();
  }

  private async last(method: string, request: Uint8Array): Promise<Buffer> {
    let last: Buffer | undefined;
    const options = { deadlineMs: CALL_MS };
    for await (const message of this.client.serverStream(
      `${SERVICE}/${method}`,
      request,
      options,
    )) {
      last = message;
    }
    if (!last) throw new Error(`${method} has told nothing`);
    return last;
  }
}
