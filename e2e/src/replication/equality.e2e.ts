/**
 * A follower cluster attaches to a leader cluster that has 100,000 pairs and takes writes: at every revision it holds
 * exactly what the leader cluster held at that revision, and what its readers see is never anything else.
 *
 * The pairs are Debian's package index: each field of each package is one.
 */
import { FlotillaClient } from '@flotilla/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitUntil } from '../harness/cluster.js';
import { GatewayProcess } from '../harness/gateway-process.js';
import { NodeProcess } from '../harness/node-process.js';
import { packageIndex } from '../harness/package-index.js';
import { seeded } from '../harness/seeded.js';
import { tableHash } from '../harness/table-hash.js';
import { ReadSession } from './equality/read-session.js';
import { type Observation, putOf, TrackedWrites } from './equality/tracked-writes.js';

const TABLE = 'packages';
const PAIRS = 100_000;
const PAIRS_PER_TXN = 500;
const WRITERS = 4;
const SESSIONS = 4;
/** Pairs of the index that are overwritten and deleted while they are read. */
const TRACKED_PAIRS = 100;
const COMPARISONS = 8;
const WRITES_BETWEEN = 150;
const TIMEOUT_MS = 30_000;
const ATTACH_MS = 240_000;
const SEED = Number(process.env['FLOTILLA_E2E_SEED'] ?? Math.floor(Math.random() * 1_000_000));

let leaderNode: NodeProcess;
let followerNode: NodeProcess;
let leaderGateway: GatewayProcess;
let gateway: GatewayProcess;
let leader: FlotillaClient;
let follower: FlotillaClient;
let writes: TrackedWrites;

/** Pairs of package and field, from the index as it is; repeated under other names if it has too few. */
function pairs(): [string, Buffer][] {
  const { rows } = packageIndex();
  const found = new Map<string, Buffer>();
  for (let copy = 0; found.size < PAIRS; copy++) {
    for (const [name, paragraph] of rows) {
      for (const line of paragraph.toString().split(/\n(?! )/)) {
        const [field = '', ...rest] = line.split(': ');
        const key = copy === 0 ? `${name}/${field}` : `${name}/${field}/${copy}`;
        if (rest.length > 0) found.set(key, Buffer.from(rest.join(': ')));
        if (found.size === PAIRS) return [...found];
      }
    }
  }
  return [...found];
}

async function importAll(all: readonly (readonly [string, Buffer])[]): Promise<void> {
  for (let at = 0; at < all.length; at += PAIRS_PER_TXN) {
    const success = all.slice(at, at + PAIRS_PER_TXN).map(putOf);
    await leader.txn({ table: TABLE, compare: [], success, failure: [] });
  }
}

beforeAll(async () => {
  console.log(`seed ${SEED}`);
  leaderNode = await NodeProcess.start();
  leaderGateway = await GatewayProcess.start([leaderNode.apiAddress]);
  followerNode = await NodeProcess.start({
    role: 'follower',
    flags: [`--replication.leader-address=${leaderGateway.address}`],
  });
  const options = { timeoutMs: TIMEOUT_MS };
  leader = new FlotillaClient({ endpoints: [leaderNode.apiAddress], ...options });
  follower = new FlotillaClient({ endpoints: [followerNode.apiAddress], ...options });
  await leader.createTable(TABLE);
  const all = pairs();
  await importAll(all);
  expect((await leader.range({ ...everything(), countOnly: true })).count).toBe(PAIRS);
  const tracked = all.filter((_, at) => at % Math.floor(PAIRS / TRACKED_PAIRS) === 0);
  writes = new TrackedWrites(leader, TABLE, tracked, seeded(SEED));
});

afterAll(async () => {
  leader.close();
  follower.close();
  for (const one of [gateway, leaderGateway]) await one.kill();
  await followerNode.dispose();
  await leaderNode.dispose();
});

const everything = () => ({ table: TABLE, key: '\0', rangeEnd: '\0', linearizable: true });

async function expectEqualAt(revision: number): Promise<number> {
  const there = await tableHash(leaderNode.apiAddress, TABLE, revision);
  const here = await tableHash(followerNode.apiAddress, TABLE, revision);
  expect(here, `at revision ${revision}`).toEqual(there);
  return there.rows;
}

/** What cannot be is found: values that were never there, and rows older than the revision that was told. */
function expectJudged(observations: readonly Observation[]): void {
  expect(observations.length).toBeGreaterThan(0);
  for (const { revision, seen } of observations) {
    const wrong = seen.map((one) => ({ ...one, value: 'never written' }));
    expect(writes.contradictions([{ revision, seen: wrong }])).toHaveLength(1);
    expect(writes.contradictions([{ revision: writes.lastRevision, seen }])).toHaveLength(1);
  }
}

async function copyHas(revision: number): Promise<void> {
  const isThere = async () => {
    const { tables } = await follower.replication.status(TABLE);
    return (tables[0]?.revision ?? 0) >= revision;
  };
  await waitUntil(`the copy has revision ${revision}`, isThere, ATTACH_MS);
}

describe('a follower cluster that attaches to 100,000 pairs while writes go on', () => {
  it('holds at every revision what the leader cluster held, and shows nothing else', async () => {
    writes.start(WRITERS);
    await writes.more(WRITES_BETWEEN);
    gateway = await GatewayProcess.startFollower([followerNode.apiAddress], leaderGateway.address);
    await copyHas(writes.lastRevision);
    const draw = seeded(SEED + 1);
    const sessions = Array.from({ length: SESSIONS }, () => {
      return new ReadSession(followerNode.apiAddress, TABLE, writes.keys, draw);
    });
    for (const session of sessions) session.start();
    for (let nth = 0; nth < COMPARISONS; nth++) {
      await writes.more(WRITES_BETWEEN);
      const revision = writes.lastRevision;
      await copyHas(revision);
      expect(await expectEqualAt(revision)).toBeGreaterThan(PAIRS / 2);
    }
    for (const session of sessions) await session.stop();
    await writes.stop();
    expect(writes.failures).toEqual([]);
    let reads = 0;
    for (const { observations, failures } of sessions) {
      expect(failures).toEqual([]);
      expect(writes.contradictions(observations)).toEqual([]);
      reads += observations.length;
    }
    expect(reads).toBeGreaterThan(SESSIONS * COMPARISONS);
    expectJudged(sessions.flatMap(({ observations }) => observations.slice(0, 1)));
    console.log(`${reads} reads of ${writes.keys.length} keys, ${writes.count} writes`);
    await copyHas(writes.lastRevision);
    expect((await tableHash(followerNode.apiAddress, TABLE)).hash).toBe(
      (await tableHash(leaderNode.apiAddress, TABLE)).hash,
    );
  });
});
