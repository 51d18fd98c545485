import { describe, expect, it } from 'vitest';
import { FeedTraffic } from './feed-traffic.js';

describe('what the feed sends', () => {
  it('is counted by kind, and streams for as long as they are open, however they end', async () => {
    const traffic = new FeedTraffic();
    const written: Uint8Array[] = [];
    const sink = {
      write: (message: Uint8Array) => {
        written.push(message);
        return undefined;
      },
    };
    await traffic.during('log', sink, (counted) => {
      void counted.write(Buffer.alloc(10));
      void counted.write(Buffer.alloc(5));
      expect(traffic.of('log')).toEqual({ streams: 1, messages: 2, bytes: 15 });
      return Promise.resolve();
    });
    const failing = traffic.during('table', sink, () => Promise.reject(new Error('cut')));
    expect(traffic.of('table').streams).toBe(1);
    await expect(failing).rejects.toThrow('cut');
    expect(written).toHaveLength(2);
    expect(traffic.of('log')).toEqual({ streams: 0, messages: 2, bytes: 15 });
    expect(traffic.of('table')).toEqual({ streams: 0, messages: 0, bytes: 0 });
    expect(traffic.of('tables').streams).toBe(0);
  });
});
