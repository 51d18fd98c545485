/**
 * What the faults stand on: a link that is cut, and checks that see what is wrong.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type HistoryEntry } from '@flotilla/linearizability';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { whyNotExplained } from './final-checks.js';
import { Generation } from './generation.js';
import { LinkProxy } from './link-proxy.js';
import { Random } from './random.js';
import { blockedPairs, episodes, FAULT_KINDS, SHAPES } from './schedule.js';
import { readValue, writeValue } from './values.js';

const WHILE_MS = 100;

describe('the way between two nodes', () => {
  let echo: Server;
  let proxy: LinkProxy;
  let node: Socket;
  let received = '';
  beforeEach(async () => {
    received = '';
    // Answers what it gets, and ends when it is told to.
    echo = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.on('data', (data) => (data.toString() === 'end' ? socket.end() : socket.write(data)));
    }).listen(0, '127.0.0.1');
    await once(echo, 'listening');
    const address = `127.0.0.1:${(echo.address() as AddressInfo).port}`;
    proxy = new LinkProxy();
    await proxy.addNode(2, address);
    node = connect(await proxy.addNode(1, '127.0.0.1:1'), '127.0.0.1');
    node.on('data', (data) => (received += data.toString()));
    node.on('error', () => node.destroy());
    node.write(`${address}\nhello`);
    await until(() => received === 'hello');
  });
  afterEach(() => {
    node.destroy();
    proxy.close();
    echo.close();
  });

  it('holds bytes one way only, and passes them on late', async () => {
    proxy.hold(1, 2);
    node.write(' late');
    await sleep(WHILE_MS);
    expect(received).toBe('hello');
    proxy.heal(1, 2, 'late');
    await until(() => received === 'hello late');
  });

  it('lets nobody see the end of the other side behind a silent cut', async () => {
    proxy.hold(2, 1);
    node.write('end');
    await sleep(WHILE_MS);
    expect(node.readableEnded).toBe(false);
    proxy.heal(2, 1, 'late');
    await until(() => node.readableEnded);
  });

  it('breaks what is there when it is cut, and heals by breaking what was held', async () => {
    proxy.hold(1, 2);
    node.write(' never');
    await sleep(WHILE_MS);
    proxy.heal(1, 2, 'reset');
    await until(() => node.destroyed);
    expect(received).toBe('hello');
  });

  it('delays what a slow link carries', async () => {
    proxy.slow(1, 2, 2 * WHILE_MS);
    node.write(' slow');
    await sleep(WHILE_MS);
    expect(received).toBe('hello');
    await until(() => received === 'hello slow');
  });
});

describe('what is drawn', () => {
  it('is the same for the same seed, and every kind comes', () => {
    const drawn = (seed: number) => {
      const source = episodes(new Random(seed), FAULT_KINDS);
      return Array.from({ length: 100 }, () => source.next().value);
    };
    expect(drawn(7)).toEqual(drawn(7));
    expect(drawn(7)).not.toEqual(drawn(8));
    const kinds = new Set(drawn(7).flatMap(({ faults }) => faults.map(({ kind }) => kind)));
    expect([...kinds].sort()).toEqual([...FAULT_KINDS].sort());
  });

  it('a partition blocks a node never from itself, and always somebody', () => {
    for (const shape of SHAPES) {
      const pairs = blockedPairs(shape, 2, [1, 2, 3]);
      expect(pairs.length, shape).toBeGreaterThan(0);
      for (const [from, to] of pairs) expect(from, shape).not.toBe(to);
    }
    expect(blockedPairs('ring', 2, [1, 2, 3])).toEqual([
      [1, 3],
      [2, 1],
      [3, 2],
    ]);
  });
});

describe('what the checks see', () => {
  const STEPS_MAX = 10_000;
  let time = 0;
  function judged(...entries: Partial<HistoryEntry>[]) {
    const generation = new Generation('t', 1, Infinity);
    const [state] = generation.targets;
    if (!state) throw new Error('a generation without keys');
    for (const entry of entries) {
      generation.begin(state);
      const base = { client: 1, table: 't', key: state.target.name, outcome: 'ok' };
      const times = { call: time++, return: time++ };
      generation.end(state, { ...base, ...times, ...entry } as HistoryEntry);
    }
    return generation;
  }
  const put = (value: string, revision: number) => ({ kind: 'put', value, revision }) as const;
  const get = (found: string | null, revision?: number) =>
    ({ kind: 'get', found, ...(revision !== undefined && { revision }) }) as const;

  it('a read of what was before an acknowledged write is no order', () => {
    const verdict = (...entries: Partial<HistoryEntry>[]) =>
      judged(...entries).judge(STEPS_MAX).verdict;
    expect(verdict(put('a', 5), put('b', 6), get('b', 6))).toBe('linearizable');
    expect(verdict(put('a', 5), put('b', 6), get('a', 5))).toBe('not-linearizable');
    expect(verdict(put('a', 5), get(null))).toBe('not-linearizable');
    const failed = { kind: 'put', value: 'x', outcome: 'fail' } as const;
    expect(verdict(failed, get('x', 5))).toBe('not-linearizable');
    const lost = { kind: 'put', value: 'x', outcome: 'unknown', return: null } as const;
    expect(verdict(lost, get('x', 5))).toBe('linearizable');
  });

  it('a row that changed after it was seen last needs a write of unknown end', () => {
    const row = (value: string, modRevision: number) =>
      new Map([['k', { value, modRevision, digest: '' }]]);
    const seen = { target: { table: 't', name: 'k', keys: ['k'] }, value: 'a', revision: 5 };
    const wrong = (rows: ReturnType<typeof row>, mayFollow: (string | null)[] = []) =>
      whyNotExplained(rows, 't', [{ ...seen, mayFollow }]).length;
    expect(wrong(row('a', 5))).toBe(0);
    expect(wrong(row('b', 9))).toBe(1);
    expect(wrong(row('a', 6))).toBe(1);
    expect(wrong(new Map())).toBe(1);
    expect(wrong(row('b', 9), ['b'])).toBe(0);
    expect(wrong(row('b', 4), ['b'])).toBe(1);
    expect(wrong(new Map(), [null])).toBe(0);
  });

  it('every byte of a value is looked at', () => {
    for (const name of ['1.0', '12.7', '345.399']) {
      const bytes = writeValue(name);
      expect(readValue(bytes)).toBe(name);
      expect(readValue(bytes.subarray(0, bytes.length - 1))).not.toBe(name);
      expect(readValue(Buffer.concat([bytes, Buffer.from('~')]))).toBe(undefined);
    }
  });
});

async function until(holds: () => boolean): Promise<void> {
  for (let left = 3_000; left > 0 && !holds(); left--) await sleep(20);
  expect(holds()).toBe(true);
}
