/**
 * The way of a node to its leader cluster, on real sockets.
 */
import { bearerAuth, createGrpcServer, GrpcStatusError, status } from '@flotilla/grpc';
import { freePort } from '@flotilla/grpc/testing';
import { loadConfig } from '@flotilla/platform';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { kvNodeSchema } from '../config/kv-node-config.js';
import { KV_SERVICE, PUT } from '../kv/kv-methods.js';
import { SYSTEM_CLOCK } from '../node/node-clock.js';
import { quiet } from '../peers/testing/test-node.js';
import { connectLeaderCluster } from './leader-client.js';
import { type LeaderCluster, LeaderWrites } from './leader-writes.js';

const LONG_MS = 30_000;
const NEVER = new AbortController().signal;
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

function connect(addresses: readonly string[], ...flags: string[]): LeaderCluster {
  const argv = ['follower', `--replication.leader-address=${addresses.join(',')}`, ...flags];
  const inputs = { argv, environment: {}, cwd: '/', directories: [] };
  const outcome = loadConfig(kvNodeSchema('0.0.0'), inputs);
  if (outcome.kind !== 'loaded') throw new Error(`refused: ${JSON.stringify(outcome)}`);
  const leader = connectLeaderCluster(outcome.loaded.config.replication);
  closing.push(() => leader.close());
  return leader;
}

/** A leader cluster that answers with what it was sent. */
async function serve(address: string, token = ''): Promise<string> {
  const server = createGrpcServer('native', { logger: quiet });
  server.register(PUT, 'unary', (request) => request);
  server.authorize(KV_SERVICE, bearerAuth(token));
  closing.push(() => server.close({ graceMs: 0 }));
  return (await server.listen(address)).url;
}

/** A clock that stands: how long the machine takes does not count. */
const STANDING_CLOCK = {
  nowMs: () => 0,
  sleep: (ms: number) => SYSTEM_CLOCK.sleep(ms),
};

function put(leader: LeaderCluster, deadlineMs = LONG_MS): Promise<Buffer> {
  const writes = new LeaderWrites(leader, SYSTEM_CLOCK);
  const until = SYSTEM_CLOCK.nowMs() + deadlineMs;
  return writes.write({ method: PUT, request: Buffer.from('r'), deadlineMs: until, signal: NEVER });
}

describe('the way to the leader cluster', () => {
  it('shows the token that is set, and without it is refused', async () => {
    const url = await serve('http://127.0.0.1:0', 'secret');
    expect((await put(connect([url], '--replication.token=secret'))).toString()).toBe('r');
    const refused = put(connect([url]));
    await expect(refused).rejects.toMatchObject({
      code: status.UNAUTHENTICATED,
      message: expect.stringMatching(/^leader error: rpc error: code = Unauthenticated/) as unknown,
    });
  });

  it('goes by any address that answers', async () => {
    const dead = `http://127.0.0.1:${await freePort()}`;
    const url = await serve('http://127.0.0.1:0');
    const leader = connect([dead, url]);
    for (let call = 0; call < 4; call++) expect((await put(leader)).toString()).toBe('r');
  });

  it('a write that could not leave is tried until the leader cluster is there, or for a while', async () => {
    const address = `http://127.0.0.1:${await freePort()}`;
    const writes = new LeaderWrites(connect([address]), STANDING_CLOCK);
    const request = { method: PUT, request: Buffer.from('r'), deadlineMs: LONG_MS, signal: NEVER };
    const early = writes.write(request);
    await vi.waitFor(() => expect(writes.counters.retried).toBeGreaterThan(0), {
      timeout: LONG_MS,
    });
    await serve(address);
    expect((await early).toString()).toBe('r');

    const nowhere = `http://127.0.0.1:${await freePort()}`;
    const error: unknown = await put(connect([nowhere]), LONG_MS).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(GrpcStatusError);
    expect(error).toMatchObject({
      code: status.UNAVAILABLE,
      message: expect.stringContaining('leader error: rpc error: code = Unavailable') as unknown,
      metadata: { 'flotilla-not-executed': '1' },
    });
  });
});
