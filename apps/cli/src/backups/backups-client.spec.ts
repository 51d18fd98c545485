/** What users are told when the maintenance app is not there, and when it is and refuses. */
import { createGrpcServer, type GrpcServer, GrpcStatusError, status } from '@flotilla/grpc';
import { backupsV1 as v1 } from '@flotilla/proto';
import { afterEach, describe, expect, it } from 'vitest';
import type { GlobalOptions } from '../settings.js';
import { BackupsClient } from './backups-client.js';

const GLOBALS = { commandTimeout: 30_000 } as GlobalOptions;
const WISH = v1.CreateBackupRequest.fromPartial({});
const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined };

let client: BackupsClient | undefined;
let server: GrpcServer | undefined;
afterEach(async () => {
  client?.close();
  await server?.close();
});

/** A port of the first thousand that nobody uses. */
const NOBODY = 'http://127.0.0.1:1';

describe('a maintenance app', () => {
  it('that is not there is told with its address, why, and how to start or name one', async () => {
    client = new BackupsClient(NOBODY, GLOBALS);
    const calls = [
      client.list(),
      client.create(WISH)[Symbol.asyncIterator]().next(),
      client.verify('')[Symbol.asyncIterator]().next(),
    ];
    for (const call of calls) {
      const error: unknown = await call.catch((thrown: unknown) => thrown);
      const port = NOBODY.slice('http://'.length);
      expect(error).toMatchObject({ code: 'UNAVAILABLE', notExecuted: true });
      const text = error instanceof Error ? error.message : '';
      expect(text).toContain(`not reached at ${NOBODY} (connect ECONNREFUSED ${port})`);
      expect(text).toContain('apps/maintenance/dist/main.js leader');
      expect(text).toContain('--maintenance');
    }
  });

  it('that answers is told in its own words, also when it says that something is not there', async () => {
    server = createGrpcServer('native', { logger: { ...SILENT, error: () => undefined } });
    server.register('/flotilla.maintenance.v1.Backups/List', 'unary', () => {
      throw new GrpcStatusError(status.UNAVAILABLE, 'the store is not there');
    });
    const { url } = await server.listen('http://127.0.0.1:0');
    client = new BackupsClient(url, GLOBALS);
    await expect(client.list()).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: 'the store is not there',
    });
  });
});
