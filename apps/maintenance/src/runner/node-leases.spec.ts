/** Leases as nodes tell of them, over a real wire. */
import { createGrpcServer, type GrpcServer, GrpcStatusError, status } from '@flotilla/grpc';
import { SILENT_LOGGER } from '@flotilla/platform';
import { leasesV1 } from '@flotilla/proto';
import { afterEach, describe, expect, it } from 'vitest';
import { SYSTEM_CLOCK } from '../maintenance-clock.js';
import { NodeWays } from '../nodes/node-ways.js';
import { NodeLeases } from './node-leases.js';

const NO_TLS = { caFilename: '', certFilename: '', keyFilename: '', serverName: '' };
const WISH = { purpose: 'backups', holder: 'a', ttlMs: 9_000, token: 7 };
const CALL_MS = 30_000;
const ACQUIRE = '/flotilla.tables.v1.Leases/Acquire';

const servers: GrpcServer[] = [];
let ways: NodeWays | undefined;
afterEach(async () => {
  ways?.close();
  for (const server of servers.splice(0)) await server.close();
});

async function nodes(...answers: readonly (((bytes: Buffer) => Uint8Array) | undefined)[]) {
  const addresses: string[] = [];
  for (const answer of answers) {
    const server = createGrpcServer('native', { logger: SILENT_LOGGER });
    if (answer) server.register(ACQUIRE, 'unary', answer);
    servers.push(server);
    addresses.push((await server.listen('http://127.0.0.1:0')).url);
  }
  ways = new NodeWays({ ...NO_TLS, addresses, token: 'T' }, SYSTEM_CLOCK);
  return new NodeLeases(ways);
}

describe('the leases of the nodes', () => {
  it('are asked for as they are wished for, and told as they are', async () => {
    let asked: leasesV1.AcquirePurposeRequest | undefined;
    const leases = await nodes((bytes) => {
      asked = leasesV1.AcquirePurposeRequest.decode(bytes);
      const lease = { holder: 'b', token: 8n, remainingMs: 1_234n };
      return leasesV1.AcquirePurposeResponse.encode({ acquired: false, lease }).finish();
    });
    const told = { kind: 'told', acquired: false, holder: 'b', token: 8, remainingMs: 1_234 };
    expect(await leases.acquire(WISH, CALL_MS)).toEqual(told);
    expect(asked).toEqual({ purpose: 'backups', holder: 'a', ttlMs: 9_000n, token: 7n });
  });

  it('are not served by nodes of before', async () => {
    const leases = await nodes(undefined);
    expect(await leases.acquire(WISH, CALL_MS)).toEqual({ kind: 'unserved' });
  });

  it('are never taken for held where a node says so without saying by whom', async () => {
    const leases = await nodes(() =>
      leasesV1.AcquirePurposeResponse.encode({ acquired: true, lease: undefined }).finish(),
    );
    await expect(leases.acquire(WISH, CALL_MS)).rejects.toMatchObject({ code: status.INTERNAL });
  });

  it('are asked for at another node after one has failed', async () => {
    const asked: string[] = [];
    const failing = (name: string) => () => {
      asked.push(name);
      throw new GrpcStatusError(status.UNAVAILABLE, 'it is cut off');
    };
    const leases = await nodes(failing('one'), failing('other'));
    for (let call = 0; call < 2; call++) {
      await expect(leases.acquire(WISH, CALL_MS)).rejects.toMatchObject({
        code: status.UNAVAILABLE,
      });
    }
    expect(asked.sort()).toEqual(['one', 'other']);
  });
});
