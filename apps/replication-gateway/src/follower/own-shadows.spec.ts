/** Calls for shadows: what is sent, what is tried again at another node, and what never is. */
import { status } from '@flotilla/grpc';
import { hot, shadowV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { statusError } from '../../test/support/fake-clusters.js';
import { A, B, FakeNodes, unavailable } from '../../test/support/fake-nodes.js';
import { OwnShadows } from './own-shadows.js';

const SIGNAL = new AbortController().signal;
const SOURCE = { tableId: 5, epoch: 2 };
const SHADOW = { table: 'orders', id: 9, purpose: 'recovery', token: 3, source: SOURCE };
const ROW = {
  key: Buffer.from('key'),
  value: Buffer.from('value'),
  createRevision: 4,
  modRevision: 6,
  version: 2,
};
const BATCH = { batch: 2, rows: [ROW], note: Buffer.from('note') };
const COPY = { table: 'orders', id: 7, source: SOURCE };

function clientOf(nodes: FakeNodes): OwnShadows {
  return new OwnShadows(nodes.pool, nodes.clock);
}

function filled(outcome: shadowV1.FillShadowResponse_Outcome): Uint8Array {
  return shadowV1.FillShadowResponse.encode({ outcome, batches: 2n }).finish();
}

describe('a shadow', () => {
  it('is begun once: whoever is left in doubt begins again, and is told how far it is', async () => {
    const error = unavailable('lost');
    const answer = shadowV1.BeginShadowResponse.fromPartial({
      outcome: shadowV1.BeginShadowResponse_Outcome.RESUMED,
      shadow: {
        table: 'orders',
        tableId: 9n,
        purpose: 'recovery',
        token: 3n,
        source: { tableId: 5n, epoch: 2n },
      },
      batches: 7n,
      note: Buffer.from('note'),
    });
    const answers = [[error], [shadowV1.BeginShadowResponse.encode(answer).finish()]];
    const nodes = new FakeNodes([A, B]);
    for (const node of [A, B]) nodes.on(node, () => answers.shift() ?? []);
    const wish = { table: 'orders', purpose: 'recovery', source: SOURCE, replace: false };
    await expect(clientOf(nodes).begin(wish)).rejects.toBe(error);
    expect(nodes.calls).toHaveLength(1);
    expect(await clientOf(nodes).begin(wish)).toEqual({
      outcome: 'resumed',
      shadow: SHADOW,
      batches: 7,
      note: Buffer.from('note'),
    });
  });

  it('is filled by batches with their numbers, sent again to another node where one is lost', async () => {
    const { WRITTEN } = shadowV1.FillShadowResponse_Outcome;
    const nodes = new FakeNodes([A, B])
      .on(A, () => [unavailable('lost')])
      .on(B, () => [filled(WRITTEN)]);
    expect(await clientOf(nodes).fill(SHADOW, BATCH, SIGNAL)).toBe('written');
    const sent = nodes.calls.at(-1)?.request ?? Buffer.alloc(0);
    expect(shadowV1.FillShadowRequest.decode(sent)).toEqual({
      tableId: 9n,
      token: 3n,
      batch: 2n,
      rows: [{ ...ROW, createRevision: 4n, modRevision: 6n, version: 2n }],
      note: Buffer.from('note'),
      commands: [],
    });
  });

  it('of a younger token is told as such, and what is not known is an error', async () => {
    const unknown = 9 as shadowV1.FillShadowResponse_Outcome;
    const answers = [filled(shadowV1.FillShadowResponse_Outcome.OLD_TOKEN), filled(unknown)];
    const nodes = new FakeNodes([A]).on(A, () => answers.splice(0, 1));
    expect(await clientOf(nodes).fill(SHADOW, BATCH, SIGNAL)).toBe('old-token');
    const second = clientOf(nodes).fill(SHADOW, BATCH, SIGNAL);
    await expect(second).rejects.toMatchObject({ code: status.INTERNAL });
  });

  it('takes a name over in one call, which is not made twice', async () => {
    const error = statusError('DEADLINE_EXCEEDED');
    const nodes = new FakeNodes([A, B]).on(A, () => [error]).on(B, () => [error]);
    await expect(clientOf(nodes).complete(SHADOW, 7, { index: 40, check: 44n })).rejects.toBe(
      error,
    );
    expect(nodes.calls).toHaveLength(1);
    const sent = nodes.calls[0]?.request ?? Buffer.alloc(0);
    expect(shadowV1.CompleteShadowRequest.decode(sent)).toEqual({
      table: 'orders',
      tableId: 9n,
      token: 3n,
      replacesTableId: 7n,
      revision: 40n,
      revisionCheck: 44n,
    });
  });
});

describe('the rows of a copy', () => {
  const position = { tableId: COPY.id, epoch: 1, appliedIndex: 3, revision: 3 };
  const chunk = (more: boolean, tableId = COPY.id) =>
    hot.encodeTableChunk({
      position: { ...position, tableId },
      rows: [ROW],
      deletedKeys: [],
      more,
    });

  async function read(answers: readonly Uint8Array[]): Promise<number> {
    const nodes = new FakeNodes([A]).on(A, () => answers);
    let rows = 0;
    for await (const some of clientOf(nodes).read(COPY, Buffer.alloc(0), SIGNAL)) {
      rows += some.length;
    }
    return rows;
  }

  it('are read to their end', async () => {
    expect(await read([chunk(true), chunk(false)])).toBe(2);
  });

  it('are not taken for whole when they were cut, nor for those of another table', async () => {
    await expect(read([chunk(true)])).rejects.toMatchObject({ code: status.UNAVAILABLE });
    const other = read([chunk(false, 8)]);
    await expect(other).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
  });
});
