/** What of a group's log is told to others. */
import { beforeEach, describe, expect, it } from 'vitest';
import { HostNode, Network, text } from '../../test/support/hosts.js';
import type { Group } from './group.js';

const FAR = 1e9;
const ALL = Number.POSITIVE_INFINITY;
let network: Network;
let node: HostNode;
let group: Group<string>;

beforeEach(async () => {
  network = new Network();
  node = await HostNode.open(network, 1);
  group = node.start(7, [1]);
  await network.settle();
});

async function textsFrom(from: number, bytesMax = ALL): Promise<string[] | undefined> {
  const entries = await group.readApplied(from, bytesMax);
  return entries?.map(({ index, data }) => `${index} ${Buffer.from(data).toString()}`);
}

describe('entries that were applied', () => {
  it('are given from any index on, those without a command with no data', async () => {
    await Promise.all(['a', 'b', 'c'].map((each) => group.propose(text(each), FAR)));
    expect(await textsFrom(1)).toEqual(['1 ', '2 ', '3 a', '4 b', '5 c']);
    expect(await textsFrom(4)).toEqual(['4 b', '5 c']);
    expect(await textsFrom(3, 1)).toEqual(['3 a']);
    expect(await textsFrom(6)).toEqual([]);
    expect(await textsFrom(100)).toEqual([]);
  });

  it('never include one that is in the log and not committed yet', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    node.files.syncGate = () => held;
    const proposal = group.propose(text('a'), FAR);
    await network.settle();
    expect(group.log.lastIndex()).toBe(3);
    expect(await textsFrom(3)).toEqual([]);
    release();
    await proposal;
    expect(await textsFrom(3)).toEqual(['3 a']);
  });

  it('that were cut from the log are said to be gone', async () => {
    for (const each of ['a', 'b', 'c']) await group.propose(text(each), FAR);
    await node.host.compact(new Map([[7, 4]]));
    expect(await textsFrom(4)).toBeUndefined();
    expect(await textsFrom(5)).toEqual(['5 c']);
  });

  it('are told with their terms, and of the last one that was cut only that is known', async () => {
    for (const each of ['a', 'b', 'c']) await group.propose(text(each), FAR);
    const { term } = group;
    const told = await group.readApplied(4, ALL);
    expect(told?.map((entry) => entry.term)).toEqual([term, term]);
    expect(group.appliedTerm(5)).toBe(term);
    expect(group.appliedTerm(6)).toBeUndefined();
    await node.host.compact(new Map([[7, 4]]));
    expect(group.appliedTerm(4)).toBe(term);
    expect(group.appliedTerm(3)).toBeUndefined();
  });

  it('are not read of a group that was stopped', async () => {
    node.host.stopGroup(7);
    await expect(group.readApplied(1, ALL)).rejects.toMatchObject({ code: 'group-closed' });
  });
});
