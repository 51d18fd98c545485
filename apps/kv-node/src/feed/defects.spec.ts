/**
 * Defects of Regatta and Armada, by the numbers of their contract, in what a node tells gateways.
 */
import { status } from '@flotilla/grpc';
import { hot } from '@flotilla/proto';
import { describe, expect, it, vi } from 'vitest';
import { FeedNode } from '../../test/support/feed-node.js';

/** Time enough for a busy machine; it comes within moments. */
const WAIT = { timeout: 60_000, interval: 1 };
const STREAMS = 40;

describe('what a node tells gateways', () => {
  it('B4: the history of a table goes on nowhere else, although another one has its name', async () => {
    const node = await FeedNode.open();
    const first = await node.create('t');
    for (let nth = 0; nth < 5; nth++) await node.put(first, `old ${nth}`);
    const epoch = BigInt(first.id);
    await node.readLog('t', { from: 3n, epoch }).ended;
    await node.delete('t');
    const second = await node.create('t');
    for (let nth = 0; nth < 9; nth++) await node.put(second, `new ${nth}`);
    for (const stream of [node.readLog('t', { from: 3n, epoch }), node.readTable('t', { epoch })]) {
      await expect(stream.ended).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
      expect(stream.messages).toEqual([]);
    }
    const log = node.readLog('t', { from: 1n });
    await log.ended;
    const [position] = log.messages.map((each) => hot.decodeLogChunk(each).position);
    expect(position?.epoch).not.toBe(first.id);
  });

  it('B13: a table that is read, left in the middle or taken away leaves nothing open', async () => {
    const node = await FeedNode.open();
    const table = await node.create('t');
    for (let nth = 0; nth < 20; nth++) await node.put(table, `k${nth}`, Buffer.alloc(200));
    let open = 0;
    let opened = 0;
    const iterate = table.machine.iterateFeed.bind(table.machine);
    vi.spyOn(table.machine, 'iterateFeed').mockImplementation((wanted) => {
      const view = iterate(wanted);
      const close = view.close.bind(view);
      let isOpen = true;
      open++;
      opened++;
      view.close = () => {
        if (isOpen) open--;
        isOpen = false;
        close();
      };
      return view;
    });
    for (let nth = 0; nth < STREAMS; nth++) {
      const stream = node.readTable('t', { chunkBytesMax: 1_000 });
      if (nth % 4 === 0) await stream.ended;
      else {
        const release = stream.hold();
        await vi.waitFor(() => expect(stream.messages.length).toBeGreaterThan(0), WAIT);
        stream.cancel();
        release();
        await stream.ended;
      }
    }
    expect(opened).toBe(STREAMS);
    expect(open).toBe(0);
    const last = node.readTable('t', { chunkBytesMax: 1_000 });
    await node.delete('t');
    // However it ends: the table is gone under it.
    await last.ended.catch(() => undefined);
    expect(open).toBe(0);
  });
});
