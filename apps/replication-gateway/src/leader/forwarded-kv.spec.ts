/**
 * Calls of follower clusters that are passed on to the nodes of the leader cluster.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { regattaV1 } from '@flotilla/proto';
import { afterEach, describe, expect, it } from 'vitest';
import { A, B, FakeNodes, notConnected, unavailable } from '../../test/support/fake-nodes.js';
import { TABLE } from '../../test/support/fake-feed.js';
import { serve, type Served } from '../../test/support/served.js';
import { SYSTEM_CLOCK } from '../gateway-clock.js';
import { ForwardedKv, ITERATE_RANGE, UNARY_METHODS } from './forwarded-kv.js';

const PUT = '/regatta.v1.KV/Put';
const request = regattaV1.PutRequest.encode(
  regattaV1.PutRequest.fromPartial({ table: TABLE, key: Buffer.from('k') }),
).finish();

let served: Served | undefined;
afterEach(() => served?.close());

async function open(nodes: FakeNodes, replicas?: readonly number[]): Promise<Served> {
  const find = (name: string) =>
    replicas && name === TABLE.toString()
      ? { id: 1, name, epoch: 1, replicas, revision: 1 }
      : undefined;
  served = await serve(new ForwardedKv(nodes.pool, { find }, SYSTEM_CLOCK));
  return served;
}

describe('a call for the KV API', () => {
  it.each([...UNARY_METHODS, ITERATE_RANGE])(
    '%s goes on as it came, and its answer back',
    async (path) => {
      const answer = Buffer.from('an answer');
      const nodes = new FakeNodes([A]).on(A, () => [answer]);
      const { stream } = await open(nodes);
      expect(await stream(path, request)).toEqual([answer]);
      expect(nodes.calls[0]).toMatchObject({ path, request: Buffer.from(request) });
    },
  );

  it('goes to the leader of its table first', async () => {
    const nodes = new FakeNodes([A]).on('http://leader:1', () => [Buffer.from('x')]);
    nodes.pool.learn(new Map([[7, 'http://leader:1']]));
    await (await open(nodes, [7, 8])).unary(PUT, request);
    expect(nodes.called).toEqual(['http://leader:1']);
  });

  it('takes the time along that its caller has left, and what it sent beside, but no secrets', async () => {
    const nodes = new FakeNodes([A]).on(A, () => [Buffer.from('x')]);
    const { client } = await open(nodes);
    const metadata = { 'min-revision': '7', authorization: 'Bearer x' };
    await client.unary(PUT, request, { deadlineMs: 5_000, metadata });
    const { options } = nodes.calls[0] ?? {};
    expect(options?.deadlineMs).toBeGreaterThan(0);
    expect(options?.deadlineMs).toBeLessThanOrEqual(5_000);
    expect(options?.metadata).toMatchObject({ 'min-revision': ['7'] });
    expect(Object.keys(options?.metadata ?? {})).not.toContain('authorization');
  });

  it('that was refused comes back with the code and the text of the node', async () => {
    const refusal = new GrpcStatusError(status.FAILED_PRECONDITION, 'key length exceeded', {
      'content-type': 'application/grpc',
    });
    const { unary } = await open(new FakeNodes([A]).on(A, () => [refusal]));
    await expect(unary(PUT, request)).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      message: 'key length exceeded',
    });
  });

  it.each([
    ['had no connection', notConnected()],
    ['says that it did nothing', unavailable('not ready', { 'flotilla-not-executed': '1' })],
  ])('is tried at another node where the first one %s', async (_, error) => {
    let failed = 0;
    const conduct = () => (failed++ === 0 ? [error] : [Buffer.from('done')]);
    const nodes = new FakeNodes().on(A, conduct).on(B, conduct);
    expect(String(await (await open(nodes)).unary(PUT, request))).toBe('done');
    expect(new Set(nodes.called)).toEqual(new Set([A, B]));
  });

  it('is never made twice where the first one may have done it', async () => {
    const lost = unavailable('No connection established, said a node', { 'content-type': 'x' });
    for (const error of [unavailable('connection lost'), lost]) {
      const nodes = new FakeNodes().on(A, () => [error]).on(B, () => [error]);
      const { unary } = await open(nodes);
      await expect(unary(PUT, request)).rejects.toMatchObject({ code: status.UNAVAILABLE });
      expect(nodes.calls).toHaveLength(1);
      await served?.close();
    }
  });

  it('that is answered by pages is not begun anew once one was sent', async () => {
    const nodes = new FakeNodes().on(A, () => [Buffer.from('page'), notConnected()]);
    nodes.on(B, () => [Buffer.from('page'), notConnected()]);
    const { stream } = await open(nodes);
    await expect(stream(ITERATE_RANGE, request)).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
    expect(nodes.calls).toHaveLength(1);
  });
});
