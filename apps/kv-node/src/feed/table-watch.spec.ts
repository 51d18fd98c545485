/** What an open watch tells of the cluster itself. */
import { feedV1 } from '@flotilla/proto';
import { describe, expect, it, vi } from 'vitest';
import { FeedNode } from '../../test/support/feed-node.js';
import { CLUSTER_KEY, encodeCluster } from '../catalog/catalog-rows.js';

const WAIT = { timeout: 20_000 };

describe('a watch of the tables', () => {
  it('tells the generation of a cluster that is promoted at once, and no other row of it', async () => {
    const node = await FeedNode.open();
    const { catalog } = node;
    const stream = node.watch();
    await vi.waitFor(() => expect(stream.messages.length).toBe(1), WAIT);
    const row = { generation: 3n, leaderClusterId: 'l', promoted: false };
    const set = (stored: Buffer | undefined, promoted: boolean) =>
      catalog.replace(
        CLUSTER_KEY,
        stored,
        encodeCluster({ ...row, promoted }),
        catalog.deadline(20_000),
      );
    expect(await set(undefined, false)).toBe(true);
    expect(await set(catalog.state.cluster.stored, true)).toBe(true);
    await vi.waitFor(() => expect(stream.messages.length).toBe(2), WAIT);
    stream.cancel();
    await stream.ended;
    const told = stream.messages.map((message) => feedV1.TablesChange.decode(message));
    expect(told.map(({ generation }) => generation)).toEqual([1n, 3n]);
    expect(told[1]).toMatchObject({ begins: false, tables: [], deletedTables: [], nodes: [] });
  });
});
