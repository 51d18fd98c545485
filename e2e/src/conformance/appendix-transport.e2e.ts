/**
 * What surrounds the messages: encodings, sockets, certificates, reflection, health, REST.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { connect, type ClientHttp2Session } from 'node:http2';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { snappy, zstd, type MessageEncoding } from '@flotilla/grpc';
import { regattaV1 as v1 } from '@flotilla/proto';
import { credentials, loadPackageDefinition, Metadata, status, type Client } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NodeProcess, ROOT, temporaryFolder } from '../harness/node-process.js';
import { PlainClient } from '../harness/plain-client.js';

const b = (text: string) => Buffer.from(text);
const REQUEST = Buffer.from(
  v1.RangeRequest.encode(v1.RangeRequest.fromPartial({ table: b('t'), key: b('k') })).finish(),
);
const UNPACKED_BYTES_MAX = 4 * 1024 * 1024;

interface RawAnswer {
  readonly status: string;
  readonly message: string;
  readonly encoding: string | undefined;
  readonly body: Buffer;
}

function frame(body: Uint8Array, packed: boolean): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(packed ? 1 : 0, 0);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

/** One call with hand-made frames. */
function rawCall(
  session: ClientHttp2Session,
  path: string,
  body: Buffer,
  headers: Record<string, string> = {},
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    const chunks: Buffer[] = [];
    const all = new Map<string, string>();
    const keep = (headers: object) => {
      for (const [name, value] of Object.entries(headers)) all.set(name, String(value));
    };
    stream.on('response', keep);
    stream.on('trailers', keep);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () =>
      resolve({
        status: all.get('grpc-status') ?? 'none',
        message: decodeURIComponent(all.get('grpc-message') ?? ''),
        encoding: all.get('grpc-encoding'),
        body: Buffer.concat(chunks),
      }),
    );
    stream.end(body);
  });
}

describe('encodings and frames', () => {
  let node: NodeProcess;
  let session: ClientHttp2Session;
  beforeAll(async () => {
    node = await NodeProcess.start();
    const client = new PlainClient(node.apiAddress);
    await client.call('Tables', 'Create', { name: 't' });
    await client.call('KV', 'Put', { table: b('t'), key: b('k'), value: b('hello') });
    client.close();
    session = connect(node.apiAddress);
  });
  afterAll(async () => {
    session.destroy();
    await node.dispose();
  });

  const gzip: Pick<MessageEncoding, 'name' | 'compress' | 'decompress'> = {
    name: 'gzip',
    compress: (bytes) => gzipSync(bytes),
    decompress: (bytes) => gunzipSync(bytes),
  };

  it.each([gzip, snappy, zstd])(
    'a request packed with $name is answered in kind',
    async (encoding) => {
      const { name } = encoding;
      const body = frame(await encoding.compress(REQUEST), true);
      const accept = { 'grpc-encoding': name, 'grpc-accept-encoding': name };
      const answer = await rawCall(session, '/regatta.v1.KV/Range', body, accept);
      expect([answer.status, answer.encoding]).toEqual(['0', name]);
      const packed = answer.body.readUInt8(0) === 1;
      const content = answer.body.subarray(5);
      const bytes = packed ? await encoding.decompress(content, UNPACKED_BYTES_MAX) : content;
      expect(v1.RangeResponse.decode(bytes).kvs[0]?.value).toEqual(b('hello'));
    },
  );

  it('an encoding that nobody knows is refused by name', async () => {
    const headers = { 'grpc-encoding': 'brotli' };
    const answer = await rawCall(session, '/regatta.v1.KV/Range', frame(REQUEST, true), headers);
    expect(answer.status).toBe(String(status.UNIMPLEMENTED));
    expect(answer.message).toContain('brotli');
  });

  it('bytes that are no message end the call, not the node', async () => {
    const junk = Buffer.from([0x0a, 0xff, 0xff, 0xff]);
    const answer = await rawCall(session, '/regatta.v1.KV/Put', frame(junk, false));
    expect(answer.status).toBe(String(status.INTERNAL));
    const good = await rawCall(session, '/regatta.v1.KV/Range', frame(REQUEST, false));
    expect(good.status).toBe('0');
  });

  it('unknown services and methods are refused with the words of a Go server', async () => {
    const body = frame(REQUEST, false);
    const method = await rawCall(session, '/regatta.v1.KV/Nope', body);
    expect(method.message).toBe('unknown method Nope for service regatta.v1.KV');
    const service = await rawCall(session, '/regatta.v1.Nope/Range', body);
    expect(service.message).toBe('unknown service regatta.v1.Nope');
  });

  it('reflection lists all services and their types, in both versions', async () => {
    for (const version of ['v1', 'v1alpha']) {
      const names = await reflectedServices(node.apiAddress, version);
      for (const service of ['KV', 'Tables', 'Cluster']) {
        expect(names).toContain(`regatta.v1.${service}`);
      }
    }
  });

  it('health says SERVING for the node and for each service', async () => {
    // HealthCheckRequest { service = 1 }, HealthCheckResponse { status = 1: SERVING is 1 }.
    for (const service of ['', 'regatta.v1.KV']) {
      const request = Buffer.concat([Buffer.from([0x0a, service.length]), b(service)]);
      const answer = await rawCall(session, '/grpc.health.v1.Health/Check', frame(request, false));
      expect([answer.status, answer.body.subarray(5)]).toEqual(['0', Buffer.from([0x08, 0x01])]);
    }
  });

  it('REST answers probes, and metrics carry the names that dashboards know', async () => {
    for (const probe of ['healthz', 'livez', 'readyz']) {
      const answer = await fetch(`${node.restAddress}/${probe}`);
      expect([answer.status, (await answer.text()).trim()]).toEqual([200, 'ok']);
    }
    const metrics = await (await fetch(`${node.restAddress}/metrics`)).text();
    for (const name of [
      'regatta_applied_index{table="t",shard_id="10001"}',
      'grpc_server_handled_total{',
      'grpc_server_handling_seconds_bucket{',
      'dragonboat_raftnode_has_leader{',
      'process_resident_memory_bytes',
    ]) {
      expect(metrics).toContain(name);
    }
  });
});

/** Asks `ServerReflectionInfo` for the services; the request is `{ list_services: '' }`. */
async function reflectedServices(address: string, version: string): Promise<string[]> {
  const file = `reflection/${version}/reflection.proto`;
  const proto = join(ROOT, 'node_modules/@grpc/reflection/build/proto/grpc', file);
  const loaded = loadPackageDefinition(loadSync(proto, { keepCase: true })) as unknown as {
    grpc: { reflection: Record<string, { ServerReflection: new (...a: unknown[]) => Client }> };
  };
  const Service = loaded.grpc.reflection[version]?.ServerReflection;
  if (!Service) throw new Error(`no reflection ${version}`);
  const client = new Service(address.replace('http://', ''), credentials.createInsecure());
  const open = (client as unknown as Record<string, (metadata: Metadata) => unknown>)[
    'ServerReflectionInfo'
  ];
  const call = open?.call(client, new Metadata()) as {
    write(request: object): void;
    end(): void;
  } & AsyncIterable<{ list_services_response: { service: { name: string }[] } }>;
  call.write({ list_services: '' });
  const names: string[] = [];
  for await (const { list_services_response: answer } of call) {
    names.push(...answer.service.map(({ name }) => name));
    call.end();
  }
  client.close();
  return names;
}

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasOpenssl) console.warn('SKIPPED: no openssl on this machine to make certificates with');

describe('sockets', () => {
  const folder = temporaryFolder('sockets');
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function works(client: PlainClient): Promise<void> {
    const { members } = await client.call('Cluster', 'MemberList', {});
    expect(members).toHaveLength(1);
  }

  it('a unix socket serves like a port', async () => {
    const node = await NodeProcess.start({ apiAddress: `unix://${folder}/api.sock` });
    const client = new PlainClient(node.apiAddress);
    await works(client).finally(() => client.close());
    await node.dispose();
  });

  it.skipIf(!hasOpenssl)(
    'TLS with client certificates: the right name may enter, another not',
    async () => {
      const make = (name: string, args: readonly string[]) =>
        spawnSync('openssl', [...args, '-keyout', `${name}.key`, '-out', `${name}.crt`], {
          cwd: folder,
        });
      const key = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2'];
      make('ca', [...key, '-subj', '/CN=test-ca']);
      const signed = [...key, '-CA', 'ca.crt', '-CAkey', 'ca.key'];
      make('server', [
        ...signed,
        '-subj',
        '/CN=localhost',
        '-addext',
        'subjectAltName=IP:127.0.0.1',
      ]);
      make('good', [...signed, '-subj', '/CN=trusted']);
      make('other', [...signed, '-subj', '/CN=stranger']);
      const read = (name: string) => readFileSync(join(folder, name));
      const prepared = await NodeProcess.prepare();
      const apiAddress = prepared.apiAddress.replace('http:', 'https:');
      await prepared.dispose();
      const flags = [
        `--api.cert-filename=${folder}/server.crt`,
        `--api.key-filename=${folder}/server.key`,
        `--api.ca-filename=${folder}/ca.crt`,
        '--api.client-cert-auth',
        '--api.allowed-cn=trusted',
      ];
      const node = await NodeProcess.start({ apiAddress, flags });
      const as = (name: string) =>
        new PlainClient(
          apiAddress,
          credentials.createSsl(read('ca.crt'), read(`${name}.key`), read(`${name}.crt`)),
        );
      const good = as('good');
      await works(good);
      const other = as('other');
      const anonymous = new PlainClient(apiAddress, credentials.createSsl(read('ca.crt')));
      for (const refused of [other, anonymous]) {
        const { code } = await refused.refusal('Cluster', 'MemberList', {});
        expect([status.UNAVAILABLE, status.PERMISSION_DENIED, status.UNAUTHENTICATED]).toContain(
          code,
        );
      }
      for (const client of [good, other, anonymous]) client.close();
      await node.dispose();
    },
  );
});

describe('settings of the real program', () => {
  it('what is unknown or malformed is refused by name, all of it at once, with exit code 2', async () => {
    const node = await NodeProcess.prepare({
      flags: ['--raft.rtt=soon', '--api.max-concurrent-streams=-1', '--no-such-flag=1'],
      env: { FLOTILLA_TABLES_ENABLED: 'perhaps' },
    });
    const { code } = await node.startAndFail();
    expect(code).toBe(2);
    for (const name of ['raft.rtt', 'max-concurrent-streams', 'no-such-flag', 'TABLES_ENABLED']) {
      expect(node.output).toContain(name);
    }
    await node.dispose();
  });

  it('a second process on the same data is refused, and the first goes on', async () => {
    const first = await NodeProcess.start();
    const second = await NodeProcess.prepare({ dataDir: first.dataDir });
    const { code } = await second.startAndFail();
    expect(code).toBe(1);
    expect(second.output).toMatch(/another process|open/);
    const client = new PlainClient(first.apiAddress);
    await client.call('Tables', 'Create', { name: 'still-here' });
    client.close();
    await first.stop();
    await first.dispose();
  });
});
