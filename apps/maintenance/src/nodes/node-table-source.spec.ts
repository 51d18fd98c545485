/** What a backup is told when a node refuses to read a table, over a real wire. */
import { createGrpcServer, type GrpcServer, GrpcStatusError, status } from '@flotilla/grpc';
import { SILENT_LOGGER } from '@flotilla/platform';
import { FEED_REASON, FEED_REASONS } from '@flotilla/proto';
import { afterEach, describe, expect, it } from 'vitest';
import { SYSTEM_CLOCK } from '../maintenance-clock.js';
import { NodeTableSource, READ_TABLE } from './node-table-source.js';
import { NodeWays } from './node-ways.js';

const NO_TLS = { caFilename: '', certFilename: '', keyFilename: '', serverName: '' };
const TABLE = { name: 't', tableId: 1, epoch: 1 };

let server: GrpcServer | undefined;
let ways: NodeWays | undefined;
afterEach(async () => {
  ways?.close();
  await server?.close();
});

async function readFrom(refusal: GrpcStatusError): Promise<unknown> {
  server = createGrpcServer('native', { logger: SILENT_LOGGER });
  server.register(READ_TABLE, 'server-stream', () => {
    throw refusal;
  });
  const { url } = await server.listen('http://127.0.0.1:0');
  ways = new NodeWays({ ...NO_TLS, addresses: [url], token: '' }, SYSTEM_CLOCK);
  const wanted = { table: TABLE, atRevision: 5, afterKey: undefined, sinceRevision: 0 };
  const rows = new NodeTableSource(ways).read(wanted, new AbortController().signal);
  return rows.next().catch((error: unknown) => error);
}

describe('a node that refuses to read a table', () => {
  it.each([
    [FEED_REASONS.otherEpoch, 'TABLE_CHANGED'],
    [FEED_REASONS.revisionGone, 'REVISION_GONE'],
    [FEED_REASONS.revisionAhead, 'REVISION_GONE'],
  ])('for %s is understood by that word, whatever the text', async (reason, code) => {
    const metadata = { [FEED_REASON]: reason };
    const refusal = new GrpcStatusError(status.FAILED_PRECONDITION, 'some text', metadata);
    expect(await readFrom(refusal)).toMatchObject({ code, message: 'table t: some text' });
  });

  it.each([
    ['no word', undefined],
    ['a word of later', { [FEED_REASON]: 'new-moon' }],
  ])('with %s is no reason to begin the table anew', async (_, metadata) => {
    const text = 'its history began anew';
    const refusal = new GrpcStatusError(status.FAILED_PRECONDITION, text, metadata);
    const error = await readFrom(refusal);
    expect(error).toBeInstanceOf(GrpcStatusError);
    expect(error).toMatchObject({ code: status.FAILED_PRECONDITION, message: text });
  });

  it.each([
    [status.NOT_FOUND, 'TABLE_CHANGED'],
    [status.UNAVAILABLE, 'SOURCE_CUT'],
  ] as const)('with code %i has another table, or is lost', async (code, meaning) => {
    expect(await readFrom(new GrpcStatusError(code, 'x'))).toMatchObject({ code: meaning });
  });
});
