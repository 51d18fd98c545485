/**
 * Clients and servers of two makes against each other, a few hundred calls of every sort. The same
 * with as many calls as one likes: `node libs/grpc/tools/cross.mjs`.
 */
import { describe, expect, it, onTestFinished } from 'vitest';
import { createGrpcClient } from '../../src/create-client.js';
import { grpcJsCrossServer, nativeCrossServer } from './cross-servers.js';
import { CROSS_BYTES_MAX, randomCalls } from './random-calls.js';
import { runCross } from './run-cross.js';

const SEED = Number(process.env['CROSS_SEED'] ?? 5);
const CALLS = Number(process.env['CROSS_CALLS'] ?? 300);
const EVERY = ['identity', 'gzip', 'snappy', 'zstd'] as const;
/** What grpc-js knows. */
const COMMON = ['identity', 'gzip'] as const;

const PAIRS = [
  { client: 'grpc-js', server: 'native', start: nativeCrossServer, encodings: COMMON },
  { client: 'native', server: 'grpc-js', start: grpcJsCrossServer, encodings: COMMON },
  { client: 'native', server: 'native', start: nativeCrossServer, encodings: EVERY },
] as const;

describe(`calls from seed ${SEED}`, () => {
  it.each(PAIRS)(
    'end as they must between a client of $client and a server of $server',
    async ({ client: transport, start, encodings }) => {
      const server = await start();
      onTestFinished(() => server.close());
      const client = createGrpcClient(`http://127.0.0.1:${server.port}`, {
        transport,
        receiveBytesMax: CROSS_BYTES_MAX,
      });
      onTestFinished(() => client.close());
      expect(await runCross(client, randomCalls(SEED, CALLS, encodings))).toEqual([]);
    },
    Math.max(60_000, CALLS * 100),
  );
});
