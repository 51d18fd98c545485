/**
 * What a server of Regatta or Armada sees of a real node behind a real gateway, by a client that was
 * made from the contract alone.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitUntil } from '../harness/cluster.js';
import { GatewayProcess } from '../harness/gateway-process.js';
import { NodeProcess, ROOT } from '../harness/node-process.js';
import { ContractClient } from './contract/contract-client.js';
import {
  COMMAND,
  type Command,
  REPLICATE_ERROR,
  type ReplicateAnswer,
} from './contract/contract-messages.js';
import { ContractReplica } from './contract/contract-replica.js';
import { SCRIPT } from './contract/scripted-history.js';
import { readSnapshotFile } from './contract/snapshot-file.js';
import { Fields, message } from './contract/wire.js';

const RECORDED = join(ROOT, '../shared/data/regatta/snapshot/snapshot.bin');
const isRecorded = existsSync(RECORDED);
if (!isRecorded) console.warn(`SKIPPED: there is no recorded snapshot at ${RECORDED}`);

/** The log is cut soon, so that a follower can fall behind it. */
const LOG_FLAGS = [
  '--raft.snapshot-entries=300',
  '--raft.compaction-overhead=50',
  '--replication.log-retention-bytes=0',
];
const CHUNK_BYTES_MAX = 1024 * 1024;
const CODE = {
  invalidArgument: 3,
  notFound: 5,
  failedPrecondition: 9,
  outOfRange: 11,
  unavailable: 14,
} as const;

describe('replication as the contract has it', () => {
  let node: NodeProcess;
  let gateway: GatewayProcess;
  let client: ContractClient;
  beforeAll(async () => {
    const flags = ['--tables.names=orders,history,large,empty,changes,bytes', ...LOG_FLAGS];
    node = await NodeProcess.start({ flags });
    gateway = await GatewayProcess.start([node.apiAddress]);
    client = new ContractClient(gateway.address);
    const isTold = async () => (await client.tables().catch(() => [])).length === 6;
    await waitUntil('the gateway knows the tables', isTold);
  });
  afterAll(async () => {
    client.close();
    await gateway.kill();
    await node.dispose();
  });

  async function put(table: string, key: string, value: string | Buffer): Promise<number> {
    return client.write('Put', message([1, table], [2, key], [3, value]));
  }

  async function commandAt(table: string, index: number): Promise<Command> {
    const [first] = await client.log(table, index);
    if (first?.kind !== 'commands') throw new Error(`there is no command at ${index}`);
    const [found] = first.commands;
    if (found?.leaderIndex !== index) throw new Error(`index ${index} was answered by another one`);
    return found.command;
  }

  async function expectSame(replica: ContractReplica, table: string): Promise<void> {
    const pairs = (await client.pairs(table)).map(({ key, value }) => [
      key.toString('latin1'),
      value.toString('latin1'),
    ]);
    expect(replica.pairs).toEqual(pairs);
    expect(pairs.length).toBeGreaterThan(0);
  }

  it('Metadata tells each table by its name, as replicated', async () => {
    expect(await client.tables()).toEqual([
      'bytes',
      'changes',
      'empty',
      'history',
      'large',
      'orders',
    ]);
  });

  it('Log: every write of the script is one command with the index that is its revision', async () => {
    for (const { what, method, request, command } of SCRIPT) {
      const revision = await client.write(method, request('orders'));
      const found = await commandAt('orders', revision);
      const nothing = { kv: undefined, batch: [], txn: undefined, rangeEnd: undefined };
      const head = { table: 'orders', leaderIndex: revision, sequence: [] };
      expect(found, what).toEqual({ ...nothing, ...head, ...command });
    }
  });

  it('Log: from index 1 on, every index once and in order, and the same content at the end', async () => {
    const replica = new ContractReplica('orders');
    replica.takePoll(await client.log('orders', 1));
    await expectSame(replica, 'orders');
    const { put: puts, delete: deletes, dummy, txn } = COMMAND;
    expect([...replica.kinds].sort()).toEqual([puts, deletes, dummy, txn]);
  });

  it('Log: where a node was elected there is a DUMMY, and no index is missing', async () => {
    const before = await put('orders', 'before', '1');
    await node.stop();
    await node.start();
    let after = 0;
    await waitUntil('the node serves again', async () => {
      after = await put('orders', 'after', '2').catch(() => 0);
      return after > 0;
    });
    const replica = new ContractReplica('orders');
    replica.takePoll(await client.log('orders', 1));
    await expectSame(replica, 'orders');
    const between: number[] = [];
    for (let index = before + 1; index < after; index++) {
      between.push((await commandAt('orders', index)).type);
    }
    expect(between).toContain(COMMAND.dummy);
  });

  it('Log: the final message is the applied index alone, byte by byte', async () => {
    const index = await put('orders', 'last', 'one');
    const request = message([1, 'orders'], [2, index]);
    const messages = await client.stream('/replication.v1.Log/Replicate', request);
    const command = message([1, 'orders'], [3, message([1, 'last'], [4, 'one'])], [5, index]);
    const commands = message([1, message([1, index], [2, command])]);
    const applied = new Fields(messages[1] ?? Buffer.alloc(0), 'final', { 8: 'varint' }).number(8);
    expect(applied).toBeGreaterThanOrEqual(index);
    expect(messages.map((each) => each.toString('hex'))).toEqual([
      message([1, commands], [8, applied]).toString('hex'),
      message([8, applied]).toString('hex'),
    ]);
    const tail = message([1, 'orders'], [2, applied + 1]);
    const nothing = await client.stream('/replication.v1.Log/Replicate', tail);
    expect(nothing.map((each) => each.toString('hex'))).toEqual([
      message([8, applied]).toString('hex'),
    ]);
  });

  it('Log: refuses index 0 and a table that is not there, with the texts of the contract', async () => {
    await expect(client.log('orders', 0)).rejects.toMatchObject({
      code: CODE.invalidArgument,
      details: 'invalid leaderIndex: leaderIndex must be greater than 0',
    });
    await expect(client.log('none', 1)).rejects.toMatchObject({
      code: CODE.notFound,
      details: 'table not found',
    });
  });

  it.each([
    ['two beyond the last one', 2n],
    ['as large as a number can be', 2n ** 64n - 1n],
  ])('Log: an index %s is answered by LEADER_BEHIND and nothing else', async (_, beyond) => {
    const [final] = (await client.log('orders', await put('orders', 'x', 'y'))).slice(-1);
    const applied = final?.kind === 'final' ? final.leaderIndex : 0;
    const from = beyond > 2n ? beyond : BigInt(applied) + beyond;
    const request = message([1, 'orders'], [2, from]);
    const messages = await client.stream('/replication.v1.Log/Replicate', request);
    expect(messages.map((each) => each.toString('hex'))).toEqual(['12020801']);
  });

  it('Log: an index that was cut is answered by USE_SNAPSHOT, after which both go on together', async () => {
    const replica = new ContractReplica('history');
    for (let nth = 0; nth < 20; nth++) await put('history', `key ${nth % 7}`, `value ${nth}`);
    replica.takePoll(await client.log('history', 1));
    let answers: ReplicateAnswer[] = [];
    await waitUntil('the log was cut', async () => {
      for (let nth = 0; nth < 50; nth++) await put('history', `key ${nth % 7}`, `later ${nth}`);
      answers = await client.log('history', replica.index + 1);
      return answers[0]?.kind === 'error';
    });
    expect(answers).toEqual([{ kind: 'error', error: REPLICATE_ERROR.useSnapshot }]);
    const chunks = await client.snapshot('history');
    replica.takeSnapshot(readSnapshotFile(Buffer.concat(chunks.map(({ data }) => data))));
    await put('history', 'key 1', 'after the snapshot');
    replica.takePoll(await client.log('history', replica.index + 1));
    await expectSame(replica, 'history');
  });

  it('Snapshot: many megabytes in chunks of 1 MiB at most, each pair once, then a DUMMY with the index', async () => {
    for (let nth = 0; nth < 40; nth++) {
      const value = Buffer.alloc(100_000, `${nth} is not like the others `);
      await put('large', `key ${String(nth).padStart(3, '0')}`, noisy(value, nth));
    }
    const [final] = (await client.log('large', 1)).slice(-1);
    const chunks = await client.snapshot('large');
    expect(chunks.length).toBeGreaterThan(3);
    for (const { data, len, hasIndex } of chunks) {
      expect(len).toBe(data.length);
      expect(data.length).toBeLessThanOrEqual(CHUNK_BYTES_MAX);
      expect(hasIndex).toBe(false);
    }
    const commands = readSnapshotFile(Buffer.concat(chunks.map(({ data }) => data)));
    expect(commands.every(({ table }) => table === 'large')).toBe(true);
    const keys = commands.slice(0, -1).map(({ kv }) => kv?.key.toString());
    expect(keys).toEqual([...new Set(keys)].sort());
    expect(keys).toHaveLength(40);
    const replica = new ContractReplica('large');
    replica.takeSnapshot(commands);
    expect(replica.index).toBe(final?.kind === 'final' ? final.leaderIndex : -1);
    await expectSame(replica, 'large');
  });

  it('B21, B22: a value that is a zero byte and keys with zero bytes come as they are', async () => {
    const keys = ['\0', '\0\0', 'a\0b', 'a\0'];
    for (const key of keys) await put('bytes', key, '\0');
    const expected = [...keys].sort().map((key) => [key, '\0']);
    const polled = new ContractReplica('bytes');
    polled.takePoll(await client.log('bytes', 1));
    expect(polled.pairs).toEqual(expected);
    const chunks = await client.snapshot('bytes');
    const loaded = new ContractReplica('bytes');
    loaded.takeSnapshot(readSnapshotFile(Buffer.concat(chunks.map(({ data }) => data))));
    expect(loaded.pairs).toEqual(expected);
    // From the smallest key to the end: everything.
    await client.write('DeleteRange', message([1, 'bytes'], [2, '\0'], [3, '\0']));
    polled.takePoll(await client.log('bytes', polled.index + 1));
    expect(polled.pairs).toEqual([]);
  });

  it('B23: a compare of a range judges what is there now, not what was, on both sides alike', async () => {
    await put('bytes', 'n1', 'old');
    await put('bytes', 'n1', 'new');
    await put('bytes', 'n2', 'old');
    await client.write('DeleteRange', message([1, 'bytes'], [2, 'n2']));
    const isNew = message([3, 'n1'], [4, 'new'], [64, 'n9']);
    const yes = message([2, message([1, 'judged'], [2, 'as it is'])]);
    const no = message([2, message([1, 'judged'], [2, 'as it was'])]);
    await client.write('Txn', message([1, 'bytes'], [2, isNew], [3, yes], [4, no]));
    const replica = new ContractReplica('bytes');
    replica.takePoll(await client.log('bytes', 1));
    expect(replica.pairs).toEqual([
      ['judged', 'as it is'],
      ['n1', 'new'],
    ]);
    await expectSame(replica, 'bytes');
  });

  it('Snapshot: of an empty table is the closing DUMMY; of none it is refused by its name', async () => {
    const chunks = await client.snapshot('empty');
    const commands = readSnapshotFile(Buffer.concat(chunks.map(({ data }) => data)));
    expect(commands.map(({ type }) => type)).toEqual([COMMAND.dummy]);
    await expect(client.snapshot('none')).rejects.toMatchObject({
      code: CODE.unavailable,
      details: "unable to stream from table 'none': table not found",
    });
  });

  it('Armada: an incremental Stream has what changed after an index, with what was deleted', async () => {
    const records = async (since: number) => {
      const chunks = await client.snapshot('changes', since);
      return readSnapshotFile(Buffer.concat(chunks.map(({ data }) => data)));
    };
    const replica = new ContractReplica('changes');
    for (const key of ['a', 'b', 'c', 'd']) await put('changes', key, 'old');
    replica.takePoll(await client.log('changes', 1));
    await put('changes', 'b', 'new');
    const removed = message([1, 'changes'], [2, 'a']);
    await client.write('DeleteRange', removed);
    await client.write('DeleteRange', message([1, 'changes'], [2, 'c'], [3, 'd']));
    await put('changes', 'e', 'new');
    const changes = await records(replica.index);
    expect(changes.map(({ type, kv }) => [type, kv?.key.toString()])).toEqual([
      [COMMAND.delete, 'a'],
      [COMMAND.put, 'b'],
      [COMMAND.delete, 'c'],
      [COMMAND.put, 'e'],
      [COMMAND.dummy, undefined],
    ]);
    replica.takeChanges(changes);
    await expectSame(replica, 'changes');
    replica.takePoll(await client.log('changes', replica.index + 1));
    // An entry that changes nothing has an index as well.
    const nothing = await client.write('DeleteRange', removed);
    expect((await records(nothing)).map(({ type }) => type)).toEqual([COMMAND.dummy]);
    const [end] = await records(nothing);
    const applied = end?.leaderIndex ?? 0;
    await expect(records(applied + 1)).rejects.toMatchObject({ code: CODE.outOfRange });
  });

  it('Armada: Query says that there is no store, and HTTP on the same port has the snapshot', async () => {
    const query = (request: Buffer) => client.unary('/replication.v1.Snapshot/Query', request);
    await expect(query(message([2, 7]))).rejects.toMatchObject({
      code: CODE.invalidArgument,
      details: 'table is required',
    });
    await expect(query(message([1, 'history'], [2, 7]))).rejects.toMatchObject({
      code: CODE.failedPrecondition,
      details: 'shared snapshot store is not configured',
    });
    const response = await fetch(`${gateway.address}/snapshots-live/history`);
    expect(response.status).toBe(200);
    const replica = new ContractReplica('history');
    replica.takeSnapshot(readSnapshotFile(Buffer.from(await response.arrayBuffer())));
    await expectSame(replica, 'history');
    replica.takePoll(await client.log('history', replica.index + 1));
    expect((await fetch(`${gateway.address}/snapshots-live/none`)).status).toBe(404);
  });

  it.skipIf(!isRecorded)('reads what Regatta has written by the same reader', () => {
    const commands = readSnapshotFile(readFileSync(RECORDED));
    const keys = Array.from({ length: 1000 }, (_, at) => `foo${at}`);
    expect(commands.map(({ kv }) => kv?.key.toString())).toEqual(keys);
    expect(commands.every(({ type, kv }) => type === COMMAND.put && kv?.value.length === 66)).toBe(
      true,
    );
  });
});

/** Something that does not pack well, and is the same each time. */
function noisy(bytes: Buffer, seed: number): Buffer {
  let state = seed + 1;
  for (let at = 0; at < bytes.length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
