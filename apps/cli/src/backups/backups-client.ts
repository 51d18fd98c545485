/**
 * The maintenance app of a cluster, as the commands of `flotilla backup` call it.
 *
 * In: requests. Out: answers and streams of how far it is. What it refuses is told in its own words; that
 * it is not there, with what can be done about it.
 */
import { ClientError, toClientError } from '@flotilla/client';
import { createGrpcClient, type GrpcClient } from '@flotilla/grpc';
import { backupsV1 as v1 } from '@flotilla/proto';
import { type GlobalOptions, tlsOf } from '../settings.js';

const SERVICE = '/flotilla.maintenance.v1.Backups';

interface Codec<T> {
  decode(bytes: Uint8Array): T;
}

export class BackupsClient {
  readonly client: GrpcClient;

  constructor(
    private readonly address: string,
    private readonly globals: GlobalOptions,
  ) {
    const tls = tlsOf(globals);
    const { token } = globals;
    const metadata = token === undefined ? undefined : { authorization: `Bearer ${token}` };
    this.client = createGrpcClient(address, {
      ...(tls && { tls }),
      ...(metadata && { metadata }),
    });
  }

  list(): Promise<v1.ListBackupsResponse> {
    const request = v1.ListBackupsRequest.encode({}).finish();
    return this.unary('List', request, v1.ListBackupsResponse, STORE_MS);
  }

  show(id: string): Promise<v1.ShowBackupResponse> {
    const request = v1.ShowBackupRequest.encode({ id }).finish();
    return this.unary('Show', request, v1.ShowBackupResponse);
  }

  prune(dryRun: boolean): Promise<v1.PruneBackupsResponse> {
    const request = v1.PruneBackupsRequest.encode({ dryRun }).finish();
    return this.unary('Prune', request, v1.PruneBackupsResponse, STORE_MS);
  }

  create(request: v1.CreateBackupRequest): AsyncIterable<v1.CreateBackupProgress> {
    const bytes = v1.CreateBackupRequest.encode(request).finish();
    return this.stream('Create', bytes, v1.CreateBackupProgress);
  }

  verify(id: string): AsyncIterable<v1.VerifyBackupProgress> {
    const bytes = v1.VerifyBackupRequest.encode({ id }).finish();
    return this.stream('Verify', bytes, v1.VerifyBackupProgress);
  }

  restore(request: v1.RestoreBackupRequest): AsyncIterable<v1.RestoreBackupProgress> {
    const bytes = v1.RestoreBackupRequest.encode(request).finish();
    return this.stream('Restore', bytes, v1.RestoreBackupProgress);
  }

  /** Also for calls that are made with `client`. */
  errorOf(thrown: unknown): ClientError {
    const error = toClientError(thrown);
    // What a server answered, and what broke later on, speaks for itself.
    if (error.code !== 'UNAVAILABLE' || !error.notExecuted) return error;
    return new ClientError(
      error.code,
      `the maintenance app is not reached at ${this.address} (${lastLine(error.message)}). ${HINT}`,
      { cause: thrown },
      true,
    );
  }

  close(): void {
    this.client.close();
  }

  private async unary<T>(
    method: string,
    request: Uint8Array,
    codec: Codec<T>,
    deadlineMs = this.globals.commandTimeout,
  ): Promise<T> {
    try {
      const options = { deadlineMs };
      return codec.decode(await this.client.unary(`${SERVICE}/${method}`, request, options));
    } catch (error) {
      throw this.errorOf(error);
    }
  }

  /** For as long as it takes: leaving it early ends the work. */
  private async *stream<T>(
    method: string,
    request: Uint8Array,
    codec: Codec<T>,
  ): AsyncGenerator<T, void, undefined> {
    try {
      for await (const bytes of this.client.serverStream(`${SERVICE}/${method}`, request)) {
        yield codec.decode(bytes);
      }
    } catch (error) {
      throw this.errorOf(error);
    }
  }
}

/** Deleting, and reading what logs tell, takes longer than a look. */
const STORE_MS = 3_600_000;

const HINT = [
  'Start it with "node apps/maintenance/dist/main.js leader --cluster.addresses=NODE',
  '--backup.store=file:///FOLDER", or say where it is with --maintenance or FLOTILLA_MAINTENANCE.',
].join(' ');

/** Why, without that there is no connection. */
function lastLine(message: string): string {
  return message.replace(/^No connection established\. (?:Last error: )?/, '');
}
