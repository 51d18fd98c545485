/**
 * Commands of every kind in a log, also of kinds that no peer may get, as a follower made from the
 * contract alone gets them from a real gateway.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitUntil } from '../harness/cluster.js';
import { GatewayProcess } from '../harness/gateway-process.js';
import { ContractClient } from './contract/contract-client.js';
import { COMMAND, type Command } from './contract/contract-messages.js';
import { ContractReplica } from './contract/contract-replica.js';
import { ScriptedNode } from './contract/scripted-node.js';
import { type FieldEntry, message } from './contract/wire.js';

const TABLE = 'orders';
const GC = 7;
const UNHEARD_OF = 42;
const pair = (key: string, value?: string) => message([1, key], [4, value]);

function command(type: number, ...rest: readonly FieldEntry[]): Buffer {
  return message([1, TABLE], [2, type === 0 ? undefined : type], ...rest);
}

/** Index of another log in the place where ours has to be: GC of Armada carries it (defect B25). */
const STALE_INDEX = 3;

const LOG: readonly Buffer[] = [
  Buffer.alloc(0),
  command(COMMAND.put, [3, pair('a', '1')]),
  command(COMMAND.putBatch, [6, pair('b', '2')], [6, pair('c', '3')], [6, pair('d', '4')]),
  command(COMMAND.dummy),
  command(COMMAND.deleteBatch, [6, pair('b')], [6, pair('none')]),
  command(COMMAND.delete, [3, pair('c')], [8, 'd'], [9, 1], [11, 1]),
  command(COMMAND.txn, [
    7,
    message([1, message([3, 'a'])], [2, message([2, message([1, 'e'], [2, '5'])])]),
  ]),
  command(GC, [5, STALE_INDEX]),
  command(UNHEARD_OF),
  command(
    COMMAND.sequence,
    [5, STALE_INDEX],
    [10, command(COMMAND.put, [3, pair('f', '6')], [5, 1])],
    [10, command(GC, [5, STALE_INDEX])],
    [10, command(COMMAND.delete, [3, pair('d')], [5, 2])],
  ),
  command(COMMAND.put, [3, pair('g', '7')], [5, STALE_INDEX]),
];

describe('a log with commands of every kind', () => {
  let node: ScriptedNode;
  let gateway: GatewayProcess;
  let client: ContractClient;
  beforeAll(async () => {
    node = await ScriptedNode.start(TABLE, LOG);
    gateway = await GatewayProcess.start([node.address]);
    client = new ContractClient(gateway.address);
    const isTold = async () => (await client.tables().catch(() => [])).join() === TABLE;
    await waitUntil('the gateway knows the table', isTold);
  });
  afterAll(async () => {
    client.close();
    await gateway.kill();
    await node.close();
  });

  async function commandsFrom(index: number): Promise<Command[]> {
    const answers = await client.log(TABLE, index);
    return answers.flatMap((answer) =>
      answer.kind === 'commands' ? answer.commands.map((each) => each.command) : [],
    );
  }

  it('is told in the seven kinds that a server of Regatta knows, and a DUMMY in the place of others', async () => {
    const kinds = (await commandsFrom(1)).map(({ type }) => type);
    const { put, delete: deletes, dummy, putBatch, deleteBatch, txn, sequence } = COMMAND;
    expect(kinds).toEqual([
      ...[dummy, put, putBatch, dummy, deleteBatch, deletes, txn],
      ...[dummy, dummy, sequence, put],
    ]);
    const [members] = await commandsFrom(10);
    expect(members?.sequence.map(({ type }) => type)).toEqual([put, dummy, deletes]);
  });

  it('B25: each command has the index of its own entry, whatever index lay in the log', async () => {
    const indexes = (await commandsFrom(1)).map(({ leaderIndex }) => leaderIndex);
    expect(indexes).toEqual(LOG.map((_, at) => at + 1));
  });

  it('comes to the same content from whatever index it is read', async () => {
    for (let split = 1; split < LOG.length; split++) {
      const replica = new ContractReplica(TABLE);
      const first = (await client.log(TABLE, 1)).filter(({ kind }) => kind === 'commands');
      for (const answer of first) {
        if (answer.kind !== 'commands') continue;
        const commands = answer.commands.filter(({ leaderIndex }) => leaderIndex <= split);
        replica.takePoll([
          { ...answer, commands },
          { kind: 'final', leaderIndex: split },
        ]);
      }
      replica.takePoll(await client.log(TABLE, split + 1));
      expect(replica.pairs).toEqual([
        ['a', '1'],
        ['e', '5'],
        ['f', '6'],
        ['g', '7'],
      ]);
      expect(replica.index).toBe(LOG.length);
    }
  });
});
