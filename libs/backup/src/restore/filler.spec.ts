import { describe, expect, it } from 'vitest';
import { FILL_BYTES_MAX } from '../bounds.js';
import { type Row } from '../format/records.js';
import { type FillOutcome, type FillRequest, type ReadyBatch } from '../ports.js';
import { Filler } from './filler.js';

const SHADOW = { table: 'orders', tableId: 7, token: 1 };
/** Two of them are more than a batch holds. */
const VALUE = Buffer.alloc(FILL_BYTES_MAX / 2 + 1);
const NUMBERS = { createRevision: 1, modRevision: 2, version: 1 };
const row = (key: string): Row => ({ key: Buffer.from(key), value: VALUE, ...NUMBERS });

/** A cluster that answers when it is told to. */
class SlowShadows {
  /** That were made ready, and that were sent. */
  readonly made: FillRequest[] = [];
  readonly requests: FillRequest[] = [];
  private answers: ((kind: FillOutcome['kind']) => void)[] = [];

  ready(request: FillRequest): ReadyBatch {
    this.made.push(request);
    return { send: () => this.fill(request) };
  }

  private fill(request: FillRequest): Promise<FillOutcome> {
    this.requests.push(request);
    return new Promise((resolve) => {
      this.answers.push((kind) => resolve({ kind, batches: request.batch }));
    });
  }

  async answer(kind: FillOutcome['kind'] = 'written'): Promise<void> {
    this.answers.shift()?.(kind);
    await settled();
  }

  async answerLast(kind: FillOutcome['kind']): Promise<void> {
    this.answers.pop()?.(kind);
    await settled();
  }
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

function started() {
  const shadows = new SlowShadows();
  const told: number[] = [];
  const { signal } = new AbortController();
  const onProgress = ({ rows }: { rows: number }) => told.push(rows);
  const filled = { shadow: SHADOW, batches: 0, note: undefined };
  return { shadows, told, filler: new Filler({ shadows, signal, onProgress }, filled) };
}

describe('what a restore writes', () => {
  it('is gathered and made ready while two batches are written, and sent once there are fewer', async () => {
    const { shadows, told, filler } = started();
    for (const key of ['a', 'b', 'c']) await filler.add(row(key));
    expect(shadows.requests.map(({ batch }) => batch)).toEqual([1, 2]);
    let isThrough = false;
    const fourth = filler.add(row('d'))?.then(() => (isThrough = true));
    await settled();
    expect(isThrough).toBe(false);
    expect(shadows.requests).toHaveLength(2);
    expect(shadows.made.map(({ batch }) => batch)).toEqual([1, 2, 3]);
    await shadows.answer();
    await fourth;
    expect(shadows.requests.map(({ batch }) => batch)).toEqual([1, 2, 3]);
    expect(told).toEqual([1]);
    const flushed = filler.flush();
    for (let nth = 0; nth < 3; nth++) await shadows.answer();
    await flushed;
    const keys = shadows.requests.map(({ rows }) => rows.map(({ key }) => key.toString()));
    expect(keys).toEqual([['a'], ['b'], ['c'], ['d']]);
    const notes = shadows.requests.map(({ note }) => JSON.parse(note.toString()) as object);
    expect(notes.at(-1)).toMatchObject({ rows: 4, lastKey: Buffer.from('d').toString('base64') });
    expect(told).toEqual([1, 2, 3, 4]);
  });

  it('is sent again where it has overtaken the batch before it, and told in its order', async () => {
    const { shadows, told, filler } = started();
    for (const key of ['a', 'b', 'c']) await filler.add(row(key));
    await shadows.answerLast('out-of-order');
    expect(shadows.requests).toHaveLength(2);
    expect(told).toEqual([]);
    await shadows.answer();
    expect(shadows.requests.map(({ batch }) => batch)).toEqual([1, 2, 2]);
    await shadows.answer();
    expect(told).toEqual([1, 2]);
    const flushed = filler.flush();
    await shadows.answer();
    await flushed;
    expect(told).toEqual([1, 2, 3]);
  });

  it('ends with the batch that was refused: none is sent after it', async () => {
    const { shadows, filler } = started();
    for (const key of ['a', 'b', 'c']) await filler.add(row(key));
    await shadows.answer('old-token');
    await shadows.answer('old-token');
    await expect(filler.flush()).rejects.toThrow('taken this restore over');
    await filler.abandon();
    expect(shadows.requests).toHaveLength(2);
  });
});
