/**
 * Tables and Cluster, item by item, against a running node.
 */
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NodeProcess } from '../harness/node-process.js';
import { PlainClient } from '../harness/plain-client.js';

const TOKEN = 'correct horse';
const BEARER = { authorization: `Bearer ${TOKEN}` };
const invalid = (details: string) => ({ code: status.INVALID_ARGUMENT, details });
const b = (text: string) => Buffer.from(text);

describe('tables', () => {
  let node: NodeProcess;
  let client: PlainClient;
  beforeAll(async () => {
    const flags = [`--tables.token=${TOKEN}`, '--maintenance.token=other secret'];
    node = await NodeProcess.start({ flags });
    client = new PlainClient(node.apiAddress);
  });
  afterAll(async () => {
    client.close();
    await node.dispose();
  });
  const create = async (name: string) =>
    (await client.call('Tables', 'Create', { name }, BEARER))['id'] as string;
  const list = async () => {
    const { tables } = await client.call('Tables', 'List', {}, BEARER);
    return tables as { name: string; id: string }[];
  };

  it('the first one has id 10001, can be written at once, and from another connection', async () => {
    expect(await create('first')).toBe('10001');
    const other = new PlainClient(node.apiAddress, undefined, {
      'grpc.use_local_subchannel_pool': 1,
    });
    const answer = await other.call('KV', 'Put', { table: b('first'), key: b('k'), value: b('v') });
    expect(answer['header']).toMatchObject({ shard_id: '10001', revision: '3' });
    other.close();
  });

  it('an empty name, a second one of a name, and a missing one are refused as Regatta does', async () => {
    await create('twice');
    const refuse = (method: string, name: string) =>
      client.refusal('Tables', method, { name }, BEARER);
    expect(await refuse('Create', '')).toEqual(invalid('name must be set'));
    expect(await refuse('Delete', '')).toEqual(invalid('name must be set'));
    expect(await refuse('Create', 'twice')).toEqual(invalid('table already exists'));
    expect(await refuse('Delete', 'missing')).toEqual(invalid('table not found'));
  });

  it.each(['a/b', '../x', '..', 'sys\0', 'a\nb', 'x'.repeat(256)])(
    'B9: the name %j is refused by name',
    async (name) => {
      const { code, details } = await client.refusal('Tables', 'Create', { name }, BEARER);
      expect(code).toBe(status.INVALID_ARGUMENT);
      expect(details).toMatch(/^name must/);
    },
  );

  it('the list is sorted by name, with decimal ids', async () => {
    for (const name of ['zebra', 'ant', 'mole']) await create(name);
    const rows = await list();
    const names = rows.map(({ name }) => name);
    expect(names).toEqual([...names].sort());
    expect(rows.every(({ id }) => /^[1-9]\d*$/.test(id))).toBe(true);
  });

  it('one that is made again is empty and has an id that never was, over restarts too', async () => {
    const before = await create('again');
    await client.call('KV', 'Put', { table: b('again'), key: b('k'), value: b('v') });
    await client.call('Tables', 'Delete', { name: 'again' }, BEARER);
    const gone = await client.refusal('KV', 'Range', { table: b('again'), key: b('k') });
    expect(gone).toEqual({ code: status.NOT_FOUND, details: 'table not found' });
    await node.stop();
    await node.start();
    const after = await create('again');
    expect(Number(after)).toBeGreaterThan(Number(before));
    const { count } = await client.call('KV', 'Range', { table: b('again'), key: b('k') });
    expect(count).toBe('0');
  });

  it.each(['Create', 'Delete', 'List'])('%s asks for the token', async (method) => {
    const refuse = async (headers: object) =>
      client.refusal('Tables', method, { name: 'guarded' }, headers);
    const denied = (details: string) => ({ code: status.UNAUTHENTICATED, details });
    expect(await refuse({})).toEqual(denied('Request unauthenticated with bearer'));
    expect(await refuse({ authorization: TOKEN.replace(' ', '') })).toEqual(
      denied('Bad authorization string'),
    );
    expect(await refuse({ authorization: `Basic ${TOKEN}` })).toEqual(
      denied('Request unauthenticated with bearer'),
    );
    expect(await refuse({ authorization: 'Bearer wrong' })).toEqual(denied('Invalid token'));
  });

  it('the scheme of the token may be written in any case', async () => {
    await client.call('Tables', 'List', {}, { authorization: `bEaReR ${TOKEN}` });
  });

  it('a burst of creations and deletions leaves exactly what was not deleted', async () => {
    const names = Array.from({ length: 20 }, (_, at) => `burst-${String(at).padStart(2, '0')}`);
    const ids = await Promise.all(names.map(create));
    expect(new Set(ids).size).toBe(names.length);
    const dropped = names.filter((_, at) => at % 2 === 0);
    await Promise.all(dropped.map((name) => client.call('Tables', 'Delete', { name }, BEARER)));
    const left = (await list()).map(({ name }) => name).filter((name) => name.startsWith('burst'));
    expect(left).toEqual(names.filter((_, at) => at % 2 === 1));
  });

  it('cluster members carry id, name and both addresses', async () => {
    const { cluster, members } = await client.call('Cluster', 'MemberList', {});
    expect(cluster).toBe('default');
    expect(members).toMatchObject([
      {
        id: '1',
        peerURLs: [expect.stringContaining('127.0.0.1:')],
        clientURLs: [expect.any(String)],
      },
    ]);
  });

  it('the status tells version and tables, and masks secrets where the configuration is asked for', async () => {
    const plain = await client.call('Cluster', 'Status', {});
    expect(plain).toMatchObject({ id: '1', config: null, errors: [] });
    expect(plain['version']).toMatch(/^v\d+\.\d+\.\d+/);
    expect((plain['tables'] as Record<string, object>)['first']).toMatchObject({ leader: '1' });
    const text = JSON.stringify(await client.call('Cluster', 'Status', { config: true }));
    expect(text).toContain('tables.token');
    expect(text).toContain('**********');
    expect(text).not.toContain(TOKEN);
    expect(text).not.toContain('other secret');
  });
});

describe('a node without the Tables service', () => {
  it('says that it does not know it', async () => {
    const node = await NodeProcess.start({ flags: ['--tables.enabled=false'] });
    const client = new PlainClient(node.apiAddress);
    try {
      expect(await client.refusal('Tables', 'Create', { name: 'x' })).toEqual({
        code: status.UNIMPLEMENTED,
        details: 'unknown service regatta.v1.Tables',
      });
    } finally {
      client.close();
      await node.dispose();
    }
  });
});
