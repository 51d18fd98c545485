/**
 * Changes of a table, asked of nodes that may be lost.
 */
import { status } from '@flotilla/grpc';
import { feedV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import {
  A,
  type Answers,
  B,
  FakeNodes,
  notConnected,
  unavailable,
} from '../../test/support/fake-nodes.js';
import { TABLE } from '../../test/support/fake-feed.js';
import { ArmadaChangesFeed } from './armada-changes-feed.js';
import { type ChangesChunk } from './armada-changes.js';

const { ReadTableRequest, TableChunk } = feedV1;
const POSITION = { tableId: 1n, epoch: 4n, appliedIndex: 9n, revision: 8n };
const chunk = (fields: Parameters<typeof TableChunk.fromPartial>[0]) =>
  TableChunk.encode(TableChunk.fromPartial(fields)).finish();
const FIRST = chunk({ position: POSITION, rows: [{ key: Buffer.from('a') }], more: true });
const LAST = chunk({ deletedKeys: [Buffer.from('b')], more: false });

async function read(nodes: FakeNodes, afterIndex = 7): Promise<ChangesChunk[]> {
  const feed = new ArmadaChangesFeed(nodes.pool, { find: () => undefined }, nodes.clock);
  const options = { deadlineMs: undefined, signal: new AbortController().signal };
  const chunks: ChangesChunk[] = [];
  for await (const each of feed.readChanges(TABLE, afterIndex, options)) chunks.push(each);
  return chunks;
}

const asked = (nodes: FakeNodes) =>
  nodes.calls.map(({ request }) => ReadTableRequest.decode(request));

describe('changes of a table', () => {
  it('are asked for in the history that was found, of whoever saw all that was acknowledged', async () => {
    const nodes = new FakeNodes([A]).on(A, () => [FIRST, LAST]);
    const chunks = await read(nodes);
    expect(chunks.map(({ deletedKeys }) => deletedKeys.map(String))).toEqual([[], ['b']]);
    expect(chunks[0]).toMatchObject({
      position: { appliedIndex: 9 },
      rows: [{ key: Buffer.from('a') }],
    });
    const wanted = { table: TABLE, linearizable: true };
    expect(asked(nodes)).toEqual([
      ReadTableRequest.fromPartial({ ...wanted, chunkBytesMax: 1 }),
      ReadTableRequest.fromPartial({ ...wanted, epoch: 4n, sinceRevision: 7n }),
    ]);
  });

  it('after an entry that changed nothing are those after the revision before it', async () => {
    const nodes = new FakeNodes([A]).on(A, () => [FIRST, LAST]);
    await read(nodes, 9);
    expect(asked(nodes)[1]?.sinceRevision).toBe(8n);
  });

  it('after an index that is not there yet are not asked for', async () => {
    const nodes = new FakeNodes([A]).on(A, () => [FIRST, LAST]);
    const chunks = await read(nodes, 10);
    expect(chunks).toMatchObject([{ position: { appliedIndex: 9 }, rows: [], more: false }]);
    expect(nodes.calls).toHaveLength(1);
  });

  it('come from another node where the first one is lost before it said anything', async () => {
    let failed = 0;
    const conduct = (): Answers => (failed++ === 0 ? [notConnected()] : [FIRST, LAST]);
    const nodes = new FakeNodes().on(A, conduct).on(B, conduct);
    expect(await read(nodes)).toHaveLength(2);
    expect(new Set(nodes.called)).toEqual(new Set([A, B]));
  });

  it.each([
    ['an error', [FIRST, unavailable()]],
    ['nothing', [FIRST]],
  ])(
    'that were begun and end with %s are never mixed with those of another node',
    async (_, answers) => {
      const nodes = new FakeNodes().on(A, () => answers).on(B, () => answers);
      await expect(read(nodes)).rejects.toMatchObject({ code: status.UNAVAILABLE });
      expect(nodes.calls).toHaveLength(2);
    },
  );

  it('without a position are refused', async () => {
    const nodes = new FakeNodes([A]).on(A, () => [LAST]);
    await expect(read(nodes)).rejects.toMatchObject({ code: status.INTERNAL });
  });
});
