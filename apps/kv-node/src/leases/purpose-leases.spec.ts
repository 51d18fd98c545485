/**
 * Leases by purpose, asked for at the nodes of a cluster of three in one process, in both roles.
 */
import { status } from '@flotilla/grpc';
import { leasesV1 as v1 } from '@flotilla/proto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  FollowerClusterUnderTest,
  type FollowerNodeUnderTest,
} from '../../test/support/follower-cluster.js';
import { PURPOSE_COUNT_KEY } from '../catalog/catalog-rows.js';
import { newPurposeCommand } from '../catalog/lease-rows.js';
import { HOLDER_BYTES_MAX, LEASE_TTL_MAX_MS, LEASE_TTL_MIN_MS } from './lease-checks.js';
import { PURPOSE_LEASES_SERVICE } from './purpose-api.js';
import { PURPOSES_MAX } from './purpose-leases.js';

const LONG_MS = 60_000n;
const TOO_LARGE = 2n ** 53n;
/** Other code may be slow, a lease must be over in any case. */
const RUN_OUT_MS = 30_000;

let cluster: FollowerClusterUnderTest;
let made = 0;

type Node = FollowerNodeUnderTest;

const acquire = (node: Node, fields: Partial<v1.AcquirePurposeRequest>) =>
  node.call(
    `/${PURPOSE_LEASES_SERVICE}/Acquire`,
    [v1.AcquirePurposeRequest, v1.AcquirePurposeResponse],
    { purpose: 'backups', holder: 'a', ttlMs: LONG_MS, token: 0n, ...fields },
  );

const release = (node: Node, fields: Partial<v1.ReleasePurposeRequest>) =>
  node.call(
    `/${PURPOSE_LEASES_SERVICE}/Release`,
    [v1.ReleasePurposeRequest, v1.ReleasePurposeResponse],
    { purpose: 'backups', holder: 'a', token: 1n, ...fields },
  );

/** One that no other test has used. */
const newPurpose = (): string => `purpose-${made++}`;

function node(at: number): Node {
  const found = cluster.nodes[at];
  if (!found) throw new Error(`there is no node ${at}`);
  return found;
}

describe.each(['leader', 'follower'] as const)('leases by purpose in a %s cluster', (role) => {
  beforeAll(async () => {
    cluster = await FollowerClusterUnderTest.start(3, role === 'leader' ? 3 : 0);
  });
  afterEach(() => {
    expect(cluster.fatal).toEqual([]);
  });
  afterAll(() => cluster.stop());

  it('are given to one alone, whichever nodes are asked at the same moment', async () => {
    const purpose = newPurpose();
    const answers = await Promise.all(
      ['a', 'b', 'c'].map((holder, at) => acquire(node(at), { purpose, holder })),
    );
    expect(answers.filter(({ acquired }) => acquired)).toHaveLength(1);
    const [winner] = answers.filter(({ acquired }) => acquired);
    expect(winner?.lease?.token).toBe(1n);
    for (const { lease } of answers) expect(lease?.holder).toBe(winner?.lease?.holder);
  });

  it('are held on to with their token alone, and go to others once they ran out', async () => {
    const purpose = newPurpose();
    const { lease } = await acquire(node(0), { purpose, ttlMs: BigInt(LEASE_TTL_MIN_MS) });
    expect(lease).toMatchObject({ holder: 'a', token: 1n });
    const other = () => acquire(node(1), { purpose, holder: 'b' });
    await expect.poll(async () => (await other()).acquired, { timeout: RUN_OUT_MS }).toBe(true);
    expect(await acquire(node(2), { purpose, token: 1n })).toMatchObject({
      acquired: false,
      lease: { holder: 'b', token: 2n },
    });
    const held = await acquire(node(2), { purpose, holder: 'b', token: 2n });
    expect(held).toMatchObject({ acquired: true, lease: { holder: 'b', token: 2n } });
  });

  it('have tokens that grow across a release, which only the holder can do', async () => {
    const purpose = newPurpose();
    await acquire(node(0), { purpose });
    expect(await release(node(1), { purpose, holder: 'b' })).toEqual({ released: false });
    expect(await release(node(1), { purpose, token: 2n })).toEqual({ released: false });
    expect(await release(node(1), { purpose })).toEqual({ released: true });
    expect(await release(node(2), { purpose })).toEqual({ released: false });
    const next = await acquire(node(2), { purpose, holder: 'b' });
    expect(next).toMatchObject({ acquired: true, lease: { holder: 'b', token: 2n } });
    expect(next.lease?.remainingMs).toBeGreaterThan(0n);
    expect(next.lease?.remainingMs).toBeLessThanOrEqual(LONG_MS);
  });

  it('are refused at the door with the name of the field', async () => {
    const refused = async (fields: Partial<v1.AcquirePurposeRequest>, text: string) => {
      await expect(acquire(node(0), fields)).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        message: expect.stringMatching(new RegExp(`^${text} `)) as unknown,
      });
    };
    for (const purpose of ['', 'Backups', 'a/b', 'ä', 'p'.repeat(65)]) {
      await refused({ purpose }, 'purpose');
    }
    await refused({ holder: '' }, 'holder');
    await refused({ holder: 'h'.repeat(HOLDER_BYTES_MAX + 1) }, 'holder');
    await refused({ ttlMs: BigInt(LEASE_TTL_MIN_MS - 1) }, 'ttl_ms');
    await refused({ ttlMs: BigInt(LEASE_TTL_MAX_MS + 1) }, 'ttl_ms');
    await refused({ token: TOO_LARGE }, 'token');
    await expect(release(node(0), { token: 0n })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      message: 'token must be set',
    });
    expect(node(0).core.cluster.catalog.state.purposes.has('backups')).toBe(false);
  });
});

describe('the number of purposes', () => {
  beforeAll(async () => {
    cluster = await FollowerClusterUnderTest.start(1, 1);
  });
  afterAll(() => cluster.stop());

  it('is bounded, also when many new ones come at once; those that are there can be taken', async () => {
    const answers = await Promise.allSettled(
      Array.from({ length: PURPOSES_MAX + 8 }, (_, at) =>
        acquire(node(0), { purpose: `p-${at}`, token: 0n }),
      ),
    );
    expect(answers.filter(({ status: outcome }) => outcome === 'fulfilled').length).toBeGreaterThan(
      0,
    );
    const { state } = node(0).core.cluster.catalog;
    for (let at = 0; state.purposes.size < PURPOSES_MAX; at++) {
      await acquire(node(0), { purpose: `q-${at}` });
    }
    await expect(acquire(node(0), { purpose: 'one-more' })).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
    expect(state.purposes.size).toBe(PURPOSES_MAX);
    const [known = ''] = state.purposes.keys();
    expect(await acquire(node(0), { purpose: known })).toMatchObject({ acquired: true });
  });

  it('is what the catalog counts: a first row is not written over another new one', async () => {
    const { catalog } = node(0).core.cluster;
    const before = catalog.state.purposeCount;
    expect(before?.toString()).toBe(String(PURPOSES_MAX));
    const row = { holder: 'x', token: 1n, expiresAtMs: 0n, session: 0n };
    const { command, doneBy } = newPurposeCommand('late', row, Buffer.from('3'));
    const outcome = await catalog.propose(command, catalog.deadline(Number(LONG_MS)));
    expect(outcome.succeeded).not.toBe(doneBy);
    expect(catalog.machine.get(PURPOSE_COUNT_KEY)?.value.toString()).toBe(String(PURPOSES_MAX));
    expect(catalog.state.purposes.has('late')).toBe(false);
  });
});
