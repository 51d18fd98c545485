/**
 * The KV API of a follower cluster: what is forwarded, what is waited for, and what is told.
 */
import { GrpcStatusError, status, type ReceivedMetadata } from '@flotilla/grpc';
import { applyV1, regattaV1 } from '@flotilla/proto';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  command,
  EPOCH,
  FollowerClusterUnderTest,
  leaderAnswer,
  LEADER_TABLE,
  type FollowerNodeUnderTest,
} from '../../test/support/follower-cluster.js';
import { REPLICA_APPLY_SERVICE } from './replica-api.js';
import { wasNotExecuted } from '../peers/not-executed.js';

let cluster: FollowerClusterUnderTest;
let tableId: bigint;
let revision = 0;

/** A node that holds the copy, and one that does not. */
let holder: FollowerNodeUnderTest;
let other: FollowerNodeUnderTest;

beforeAll(async () => {
  cluster = await FollowerClusterUnderTest.start(2);
  ({ tableId } = await cluster.first.createCopy());
  const holds = ({ core }: FollowerNodeUnderTest) => core.cluster.tables.size > 0;
  [holder, other] = [cluster.nodes.find(holds), cluster.nodes.find((node) => !holds(node))].map(
    (node) => {
      if (!node) throw new Error('one node was to hold the copy, and one not');
      return node;
    },
  ) as [FollowerNodeUnderTest, FollowerNodeUnderTest];
}, 60_000);
afterAll(async () => {
  expect(cluster.fatal).toEqual([]);
  await cluster.stop();
});
beforeEach(() => {
  cluster.sent.length = 0;
});

/** One command of the leader cluster, at the next revision. */
async function pull(key: string, value: string): Promise<number> {
  revision += 1;
  expect(await holder.apply(tableId, [command(revision, key, value)])).toMatchObject({
    outcome: 0,
    leaderIndex: BigInt(revision),
  });
  return revision;
}

async function refusal(call: Promise<unknown>): Promise<GrpcStatusError> {
  const outcome = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome instanceof GrpcStatusError) return outcome;
  throw new Error(`not refused: ${String(outcome)}`);
}

/**
 * Nodes answer a quarter of a second before their caller gives up. Where this process stood still for that moment
 * the caller's own clock spoke first, which says nothing of the answer: it is asked for again.
 */
const answeredInTime = (ask: () => Promise<void>) => vi.waitFor(ask, { timeout: 60_000 });
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const unavailable = (text: string, metadata?: Record<string, string>) =>
  new GrpcStatusError(status.UNAVAILABLE, text, metadata);

describe('a write in a follower cluster', () => {
  it.each(['holder', 'other'] as const)(
    'is answered with the answer of the leader cluster, once it can be read here (%s)',
    async (which) => {
      const node = which === 'holder' ? holder : other;
      cluster.script = () => Promise.resolve(leaderAnswer(revision + 1));
      let isAnswered = false;
      const write = node.put(`mine-${which}`).finally(() => (isAnswered = true));
      await pause(100);
      expect(isAnswered).toBe(false);
      const at = await pull(`mine-${which}`, 'v');
      const { header } = await write;
      expect(header).toMatchObject({ shardId: BigInt(LEADER_TABLE), replicaId: 3n, raftTerm: 7n });
      expect(header?.revision).toBe(BigInt(at));
      expect(await node.get(`mine-${which}`)).toBe('v');
      expect(cluster.sent).toHaveLength(1);
    },
  );

  it.each(['holder', 'other'] as const)(
    'that is not seen here in time is said to be durable, with its revision (%s)',
    async (which) => {
      const node = which === 'holder' ? holder : other;
      const far = revision + 1_000;
      cluster.script = () => Promise.resolve(leaderAnswer(far));
      await answeredInTime(async () => {
        const error = await refusal(node.put('late', { deadlineMs: 3_000 }));
        expect(error).toMatchObject({
          code: status.DEADLINE_EXCEEDED,
          message:
            `the write is durable in the leader cluster at revision ${far}, ` +
            `but the local copy is at revision ${revision}`,
          metadata: expect.objectContaining({
            'flotilla-committed-revision': [String(far)],
          }) as unknown,
        });
        expect(wasNotExecuted(error)).toBe(false);
      });
      expect(node.follower.copies.waits.waiting).toBe(0);
    },
  );

  it('B6: applied here before the answer came is answered at once', async () => {
    cluster.script = async () => leaderAnswer(await pull('early', 'v'));
    await holder.put('early', { deadlineMs: 30_000 });
    cluster.script = async () => leaderAnswer(await pull('early', 'w'));
    await other.put('early', { deadlineMs: 30_000 });
  });

  it('B18: without a revision, as Regatta answers some Txn, waits for nothing', async () => {
    cluster.script = () => Promise.resolve(Buffer.alloc(0));
    await holder.put('none', { deadlineMs: 30_000 });
  });

  it('an error of the leader cluster keeps its code and is told in words of Regatta', async () => {
    const text = 'table not found';
    cluster.script = () => Promise.reject(new GrpcStatusError(status.NOT_FOUND, text));
    expect(await refusal(holder.put('k'))).toMatchObject({
      code: status.NOT_FOUND,
      message: 'leader error: rpc error: code = NotFound desc = table not found',
    });
    cluster.script = () => Promise.reject(new Error('a broken way'));
    expect(await refusal(holder.put('k'))).toMatchObject({
      code: status.FAILED_PRECONDITION,
      message: 'forward error',
    });
  });

  it('is sent again only if it certainly was not executed', async () => {
    cluster.script = () => Promise.reject(unavailable('timeout'));
    const error = await refusal(holder.put('k'));
    expect(error.message).toBe('leader error: rpc error: code = Unavailable desc = timeout');
    expect(cluster.sent).toHaveLength(1);

    cluster.sent.length = 0;
    const notExecuted = { 'flotilla-not-executed': '1' };
    cluster.script = (_path, _request, call) =>
      call < 3 ? Promise.reject(unavailable('x', notExecuted)) : Promise.resolve(leaderAnswer(1));
    await holder.put('k');
    expect(cluster.sent).toHaveLength(3);
  });

  it('what the caller can be told here goes nowhere, in the words of a leader cluster', async () => {
    expect(await refusal(holder.put(''))).toMatchObject({
      code: status.INVALID_ARGUMENT,
      message: 'key must be set',
    });
    expect(await refusal(holder.put('k'.repeat(1_025)))).toMatchObject({
      code: status.FAILED_PRECONDITION,
      message: 'key length exceeded max allowed value',
    });
    expect(cluster.sent).toEqual([]);
  });

  it('goes with the deadline of its caller, less what the answer needs', async () => {
    cluster.script = () => Promise.resolve(leaderAnswer(1));
    await holder.put('k', { deadlineMs: 30_000 });
    await holder.put('k');
    const [own, ours] = cluster.sent.map(({ deadlineMs }) => deadlineMs);
    expect(own).toBeGreaterThan(25_000);
    expect(own).toBeLessThanOrEqual(29_750);
    expect(ours).toBeGreaterThan(5_000);
    expect(ours).toBeLessThanOrEqual(10_000);
  });

  it('of a table made anew there waits for that one, whatever the old copy has', async () => {
    cluster.script = () => Promise.resolve(leaderAnswer(1, LEADER_TABLE + 1));
    const error = await refusal(holder.put('k', { deadlineMs: 2_000 }));
    expect(error.code).toBe(status.DEADLINE_EXCEEDED);
  });

  it('is not sent where nobody more could wait for it', async () => {
    const { waits } = holder.follower.copies;
    const leave = Array.from({ length: 16_384 }, () => waits.takePlace());
    const error = await refusal(holder.put('k'));
    expect(error.message).toBe('system is too busy try again later');
    expect(wasNotExecuted(error)).toBe(true);
    expect(cluster.sent).toEqual([]);
    for (const give of leave) give?.();
  });

  it('a Txn that writes is forwarded, one that reads is not', async () => {
    cluster.script = () => Promise.resolve(leaderAnswer(1));
    const codecs = [regattaV1.TxnRequest, regattaV1.TxnResponse] as const;
    const path = '/regatta.v1.KV/Txn';
    const reads = regattaV1.TxnRequest.fromPartial({ table: Buffer.from('t') });
    await holder.call(path, codecs, reads);
    await other.call(path, codecs, reads);
    expect(cluster.sent).toEqual([]);
    const requestPut = { key: Buffer.from('k'), value: Buffer.from('v') };
    const request = { request: { $case: 'requestPut' as const, value: requestPut } };
    await holder.call(
      path,
      codecs,
      regattaV1.TxnRequest.fromPartial({ ...reads, success: [request] }),
    );
    expect(cluster.sent.map((call) => call.path)).toEqual([path]);
  });
});

describe('a read in a follower cluster', () => {
  const headersOf = async (node: FollowerNodeUnderTest): Promise<Record<string, string>> => {
    let seen: ReceivedMetadata | undefined;
    await node.get('k', { onHeaders: (metadata) => (seen = metadata) });
    const names = (seen?.names() ?? []).filter((name) => name.startsWith('flotilla-'));
    return Object.fromEntries(names.map((name) => [name, seen?.get(name) ?? '']));
  };

  it.each(['holder', 'other'] as const)(
    'waits for min-revision, and fails at the deadline with both revisions (%s)',
    async (which) => {
      const node = which === 'holder' ? holder : other;
      const wanted = { 'min-revision': String(revision + 1) };
      await answeredInTime(async () => {
        const late = await refusal(node.get('k', { metadata: wanted, deadlineMs: 3_000 }));
        expect(late).toMatchObject({
          code: status.DEADLINE_EXCEEDED,
          message: `min-revision ${revision + 1} was not reached in time: the copy is at revision ${revision}`,
        });
      });
      const read = node.get(`new-${which}`, { metadata: wanted, deadlineMs: 60_000 });
      await pause(50);
      await pull(`new-${which}`, 'seen');
      expect(await read).toBe('seen');
    },
  );

  it('B6: of many that wait, none is forgotten, whatever order their revisions come in', async () => {
    const warnings: string[] = [];
    const warn = ({ name }: Error): void => void warnings.push(name);
    process.on('warning', warn);
    const from = revision;
    const order = [7, 1, 3, 5, 2, 6, 4, 7, 1];
    const reads = [...order, ...order, ...order, ...order].map((ahead, at) =>
      (at % 2 === 0 ? holder : other).get(`many-${ahead}`, {
        metadata: { 'min-revision': String(from + ahead) },
        deadlineMs: 60_000,
      }),
    );
    await pause(50);
    for (let ahead = 1; ahead <= 7; ahead++) await pull(`many-${ahead}`, `${ahead}`);
    const expected = order.map(String);
    expect(await Promise.all(reads)).toEqual([expected, expected, expected, expected].flat());
    process.off('warning', warn);
    expect(warnings).toEqual([]);
  });

  it.each(['x', '-1', '1.5', '', '99999999999999999999'])(
    'min-revision "%s" is refused by name',
    async (text) => {
      const error = await refusal(holder.get('k', { metadata: { 'min-revision': text } }));
      expect(error.code).toBe(status.INVALID_ARGUMENT);
      expect(error.message).toContain('min-revision must be one number');
    },
  );

  /** To one node, as a puller does; its answer comes when the others have heard of it too. */
  const report = (leaderIndex: number, leaderClockMs: number): Promise<unknown> => {
    const codecs = [applyV1.ReportPositionsRequest, applyV1.ReportPositionsResponse] as const;
    const clocked = { leaderClockMs: BigInt(leaderClockMs), stands: false };
    const position = { tableId, leaderIndex: BigInt(leaderIndex), ...clocked };
    const request = applyV1.ReportPositionsRequest.fromPartial({ positions: [position] });
    return other.call(`/${REPLICA_APPLY_SERVICE}/ReportPositions`, codecs, request);
  };

  it('takes what stood for what stands by one clock of its gateway, on every node', async () => {
    const codecs = [applyV1.ReportPositionsRequest, applyV1.ReportPositionsResponse] as const;
    const tell = (fields: Partial<applyV1.ReportPositionsRequest>) => {
      const request = applyV1.ReportPositionsRequest.fromPartial({ gateway: 'g', ...fields });
      return other.call(`/${REPLICA_APPLY_SERVICE}/ReportPositions`, codecs, request);
    };
    const clockMs = 50_000_000n;
    const position = { tableId, leaderIndex: BigInt(revision), leaderClockMs: clockMs };
    expect(await tell({ sequence: 3n, positions: [] })).toEqual({ needsAll: true });
    const all = { sequence: 4n, all: true, positions: [{ ...position, stands: true }] };
    expect(await tell(all)).toEqual({ needsAll: false });
    const later = clockMs + 60_000n;
    expect(await tell({ sequence: 5n, leaderClockMs: later })).toEqual({ needsAll: false });
    for (const node of [holder, other]) {
      const headers = await headersOf(node);
      expect(headers['flotilla-lag-revisions']).toBe('0');
      expect(Number(headers['flotilla-lag-ms'])).toBeLessThan(60_000);
    }
    expect(await tell({ sequence: 7n })).toEqual({ needsAll: true });
    await expect(tell({ gateway: 'g'.repeat(256) })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
  });

  it.each(['holder', 'other'] as const)(
    'says how far behind the copy is, as pullers told any node last (%s)',
    async (which) => {
      const node = which === 'holder' ? holder : other;
      const clockMs = 100_000_000 * (which === 'holder' ? 1 : 2);
      await report(revision, clockMs);
      expect(await headersOf(node)).toMatchObject({
        'flotilla-revision': String(revision),
        'flotilla-lag-revisions': '0',
      });
      await report(revision + 4, clockMs + 60_000);
      const behind = await headersOf(node);
      expect(behind['flotilla-lag-revisions']).toBe('4');
      expect(Number(behind['flotilla-lag-ms'])).toBeGreaterThanOrEqual(60_000);
      expect(Number(behind['flotilla-lag-ms'])).toBeLessThan(120_000);
    },
  );

  it('a stream waits and tells as well, also where it is passed on', async () => {
    const request = regattaV1.RangeRequest.fromPartial({
      ...{ table: Buffer.from('t'), key: Buffer.from([0]), rangeEnd: Buffer.from([0]) },
    });
    for (const node of [holder, other]) {
      let told: string | undefined;
      const pages = node.client.serverStream(
        '/regatta.v1.KV/IterateRange',
        regattaV1.RangeRequest.encode(request).finish(),
        {
          metadata: { 'min-revision': String(revision + 1) },
          deadlineMs: 60_000,
          onHeaders: (metadata) => (told = metadata.get('flotilla-revision')),
        },
      );
      const whole = (async () => {
        const keys: string[] = [];
        for await (const page of pages) {
          for (const { key } of regattaV1.RangeResponse.decode(page).kvs) keys.push(key.toString());
        }
        return keys;
      })();
      await pause(50);
      const at = await pull('streamed', 'v');
      expect(await whole).toContain('streamed');
      expect(told).toBe(String(at));
    }
  });
});

describe('copies and who may write them', () => {
  it('B5: a batch of before, or of another epoch, is refused by name and changes nothing', async () => {
    await pull('fenced', 'now');
    const token = 5;
    const claimed = await holder.apply(tableId, [], { token });
    expect(claimed).toEqual({ outcome: 0, leaderIndex: BigInt(revision) });
    const next = [command(revision + 1, 'fenced', 'never')];
    expect((await other.apply(tableId, next, { token: 4 })).outcome).toBe(2);
    expect((await other.apply(tableId, next, { token, epoch: EPOCH - 1 })).outcome).toBe(1);
    expect(await holder.get('fenced')).toBe('now');
    const again = [command(revision, 'fenced', 'twice')];
    expect(await other.apply(tableId, again, { token })).toEqual(claimed);
    expect(await holder.get('fenced')).toBe('now');
  });

  it('a batch that no replica could apply is refused before it is in the log', async () => {
    const at = revision + 1;
    const reset = Buffer.from([0x10, 2, 0x28, 0]);
    const bad = [
      [Buffer.from([0xff, 0xff])],
      [command(at, 'a', '1'), command(at, 'b', '2')],
      [Buffer.from([0x10, 99, 0x28, 1])],
      [Buffer.from([0x10, 0, 0x28, 1])],
      [reset],
    ];
    for (const commands of bad) {
      const error = await refusal(holder.apply(tableId, commands, { token: 9 }));
      expect(error.code).toBe(status.INVALID_ARGUMENT);
      expect(error.message).toMatch(/^commands\[\d\]/);
    }
    expect(cluster.fatal).toEqual([]);
  });

  it('a name that is taken, by a copy or by a table of the cluster’s own, is left alone', async () => {
    await cluster.first.core.cluster.admin.create('own');
    expect(await other.createCopy('t')).toMatchObject({ outcome: 1, tableId });
    expect(await other.createCopy('t', EPOCH + 1)).toMatchObject({
      outcome: 2,
      source: { tableId: BigInt(LEADER_TABLE), epoch: BigInt(EPOCH) },
    });
    expect(await other.createCopy('own')).toMatchObject({ outcome: 3 });
    const { apply } = other.follower;
    const elsewhere = { tableId: 1n, epoch: 1n };
    expect(await apply.delete({ table: 't', source: elsewhere })).toEqual({ outcome: 2 });
    expect(await apply.delete({ table: 'own', source: elsewhere })).toEqual({ outcome: 2 });
    expect(await apply.delete({ table: 'none', source: elsewhere })).toEqual({ outcome: 1 });
    const { replicas, localTables } = apply.list();
    expect([replicas.map(({ table }) => table), localTables]).toEqual([['t'], ['own']]);
  });

  it('a node that was started as one of a leader cluster ends before it takes writes for a copy', async () => {
    const mixed = await FollowerClusterUnderTest.start(2, 1);
    try {
      // The node that ends may be the one to hold the copy.
      await Promise.allSettled([mixed.first.createCopy()]);
      await expect
        .poll(() => mixed.fatal.map(String), { timeout: 30_000 })
        .toEqual([expect.stringContaining('start its nodes with the command follower')]);
      const [, wrong] = mixed.nodes;
      expect(wrong?.core.cluster.tables.size).toBe(0);
    } finally {
      await mixed.stop();
    }
  }, 60_000);
});
