/**
 * Three nodes, a gateway, and who attaches to it: logs that come whole and in order whatever is killed, snapshots
 * that can be gone on with wherever they were cut, and changes that make a new state of an old one.
 */
import { mvccV1 } from '@flotilla/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AttachedGateway, type SnapshotPiece } from '../harness/attached-gateway.js';
import { Cluster, waitUntil } from '../harness/cluster.js';
import { GatewayProcess } from '../harness/gateway-process.js';
import { seeded } from '../harness/seeded.js';

const TABLES = ['orders', 'items', 'users'];

describe('a gateway that is attached to the leader cluster', () => {
  let cluster: Cluster;
  let gateway: GatewayProcess;
  const attached: AttachedGateway[] = [];
  beforeAll(async () => {
    cluster = await Cluster.start(3);
    gateway = await GatewayProcess.start(cluster.endpoints, [
      '--replication.heartbeat-interval=100ms',
    ]);
  });
  afterAll(async () => {
    for (const each of attached) await each.close();
    await gateway.kill();
    await cluster.dispose();
  });

  async function attach(...tables: string[]): Promise<AttachedGateway> {
    const opened = new AttachedGateway(gateway.address);
    attached.push(opened);
    await waitUntil('the gateway lets somebody in', async () => {
      opened.failure = undefined;
      opened.attach();
      await waitUntil('it tells or refuses', () => opened.heartbeats > 0 || !!opened.failure);
      return opened.failure === undefined;
    });
    await waitUntil('the tables are told', () => tables.every((name) => opened.tables.has(name)));
    return opened;
  }

  /** Puts one after the other, each with a value of its own; returns those that were acknowledged. */
  async function write(table: string, from: number, to: number): Promise<Map<string, number>> {
    const client = cluster.client();
    const revisions = new Map<string, number>();
    for (let nth = from; nth < to; nth++) {
      const value = `${table} ${nth} ${'x'.repeat(200)}`;
      try {
        const { header } = await client.put({ table, key: `key ${nth % 50}`, value });
        revisions.set(value, Number(header?.revision ?? 0));
      } catch {
        // Whether it was done is not known; nothing is expected of it.
        revisions.delete(value);
      }
    }
    return revisions;
  }

  it('is sent every entry of its tables once and in order, while nodes are killed', async () => {
    for (const table of TABLES) await cluster.client().createTable(table);
    const follower = await attach(...TABLES);
    for (const table of TABLES) follower.subscribe(table);
    const written = async (from: number, to: number) =>
      Promise.all(TABLES.map((table) => write(table, from, to)));
    const rounds = [await written(0, 50)];
    for (const [nth, table] of TABLES.entries()) {
      const victim = await cluster.leaderOf(table);
      const writing = written(50 + nth * 50, 100 + nth * 50);
      await cluster.node(victim).kill();
      rounds.push(await writing);
      await cluster.node(victim).start();
    }
    rounds.push(await written(200, 250));
    for (const [at, table] of TABLES.entries()) {
      const acknowledged = new Map(rounds.flatMap((round) => [...(round[at] ?? [])]));
      expect(acknowledged.size).toBeGreaterThan(100);
      const newest = Math.max(...acknowledged.values());
      await waitUntil('all has come', () => follower.revisionOf(table) >= newest);
      // That there are no gaps, and nothing twice, is checked as entries come.
      const entries = follower.entries.get(table) ?? [];
      for (const [value, revision] of acknowledged) {
        const { command } = entries[revision - 1] ?? { command: Buffer.alloc(0) };
        expect(mvccV1.Command.decode(command).kv?.value.toString()).toBe(value);
      }
    }
    expect([follower.failure, follower.ends]).toEqual([undefined, []]);
    const metrics = await (await fetch(`${gateway.restAddress}/metrics`)).text();
    expect(metrics).toMatch(/^flotilla_link_streams [1-9]/m);
    expect(metrics).toMatch(/^flotilla_link_subscriptions [3-9]/m);
    expect(metrics).toMatch(/^flotilla_replication_sent_commands_total\{table="orders"\} [1-9]/m);
    const { heartbeats } = follower;
    await waitUntil('heartbeats go on', () => follower.heartbeats > heartbeats + 3);
  });

  it('goes on with a snapshot wherever it was cut, and has the same at the end', async () => {
    const table = 'large';
    await cluster.client().createTable(table);
    await fill(table, 40);
    const follower = await attach(table);
    const whole = await follower.snapshot(table);
    expect(whole.isWhole).toBe(true);
    expect(whole.rows.length).toBe(40);
    const atRevision = whole.position?.revision ?? 0n;
    for (let chunks = 1; ; chunks++) {
      const first = await follower.snapshot(table, { atRevision }, chunks);
      await fill(table, 5, `later ${chunks}`);
      if (first.isWhole) {
        expect(chunks).toBeGreaterThan(3);
        expect(shown(first)).toEqual(shown(whole));
        break;
      }
      const afterKey = first.rows.at(-1)?.key ?? Buffer.alloc(0);
      const rest = await follower.snapshot(table, { atRevision, afterKey });
      expect([...shown(first), ...shown(rest)]).toEqual(shown(whole));
      const { tableId, epoch } = whole.position ?? {};
      const place = { appliedIndex: atRevision, revision: atRevision };
      expect(rest.position).toMatchObject({ tableId, epoch, ...place });
    }
  });

  it('makes a new state of an old one and what changed since', async () => {
    const table = 'changing';
    const client = cluster.client();
    await client.createTable(table);
    const follower = await attach(table);
    const draw = seeded(Number(process.env['SEED'] ?? 7));
    let state = stateOf(await follower.snapshot(table));
    let since = 0n;
    for (let round = 0; round < 8; round++) {
      for (let nth = 0; nth < 40; nth++) {
        const key = `k${draw(60)}`;
        if (draw(10) < 3) await client.deleteRange({ table, key });
        else await client.put({ table, key, value: `${round}.${nth} ${'y'.repeat(20_000)}` });
      }
      const changes =
        since === 0n ? undefined : await follower.snapshot(table, { sinceRevision: since });
      const full = await follower.snapshot(table, {
        ...(changes?.position && { atRevision: changes.position.revision }),
      });
      if (changes) {
        for (const key of changes.deletedKeys) state.delete(key.toString());
        for (const [key, row] of stateOf(changes)) state.set(key, row);
        expect(changes.rows.length + changes.deletedKeys.length).toBeLessThan(60);
        expect(new Map([...state].sort())).toEqual(new Map([...stateOf(full)].sort()));
      } else state = stateOf(full);
      since = full.position?.revision ?? 0n;
    }
  });

  async function fill(table: string, rows: number, prefix = 'first'): Promise<void> {
    const client = cluster.client();
    for (let nth = 0; nth < rows; nth++) {
      const key = `k${String(nth * 7919).padStart(8, '0')}`;
      const value = `${prefix} ${nth} ${'z'.repeat(40_000)}`;
      await client.put({ table, key, value });
    }
  }
});

/** Rows as texts: buffers are compared byte by byte. */
function shown({ rows }: SnapshotPiece): [string, string][] {
  return rows.map(({ key, value, createRevision, modRevision, version }) => {
    const numbers = `${createRevision}/${modRevision}/${version}`;
    return [key.toString('latin1'), `${value.toString('latin1')}@${numbers}`];
  });
}

const stateOf = (piece: SnapshotPiece): Map<string, string> => new Map(shown(piece));
