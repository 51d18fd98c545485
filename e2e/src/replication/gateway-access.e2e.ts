/**
 * Who gets in: gateways at the nodes by their token, over TLS; follower clusters at the gateway by
 * certificates.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { get, type RequestOptions } from 'node:https';
import { type ClientTlsOptions, createGrpcJsClient } from '@flotilla/grpc';
import { freePort } from '@flotilla/grpc/testing';
import { replicationV1 } from '@flotilla/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitUntil } from '../harness/cluster.js';
import { GatewayProcess } from '../harness/gateway-process.js';
import { NodeProcess, temporaryFolder } from '../harness/node-process.js';

const METADATA_GET = '/replication.v1.Metadata/Get';
const NOTHING = new Uint8Array(0);
const CALL_MS = 60_000;
const UNAVAILABLE = 14;

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasOpenssl) console.warn('SKIPPED: no openssl on this machine to make certificates with');

describe.skipIf(!hasOpenssl)('access to tables by replication', () => {
  const folder = temporaryFolder('gateway-tls');
  const gateways: GatewayProcess[] = [];
  let node: NodeProcess;
  beforeAll(async () => {
    const make = (name: string, args: readonly string[]) =>
      spawnSync('openssl', [...args, '-keyout', `${name}.key`, '-out', `${name}.crt`], {
        cwd: folder,
      });
    const key = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2'];
    make('ca', [...key, '-subj', '/CN=test-ca']);
    const signed = [...key, '-CA', 'ca.crt', '-CAkey', 'ca.key', '-subj', '/CN=node'];
    make('node', [...signed, '-addext', 'subjectAltName=IP:127.0.0.1']);
    node = await NodeProcess.start({
      apiAddress: `https://127.0.0.1:${await freePort()}`,
      flags: [
        `--api.cert-filename=${folder}/node.crt`,
        `--api.key-filename=${folder}/node.key`,
        '--tables.names=orders',
        '--tables.token=secret',
      ],
    });
  });
  afterAll(async () => {
    for (const gateway of gateways) await gateway.kill();
    await node.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  async function startGateway(flags: readonly string[], scheme?: 'https'): Promise<GatewayProcess> {
    const ca = `--cluster.ca-filename=${folder}/ca.crt`;
    const gateway = await GatewayProcess.start([node.apiAddress], [ca, ...flags], scheme);
    gateways.push(gateway);
    return gateway;
  }

  async function tablesAt(address: string, tls?: ClientTlsOptions): Promise<string[]> {
    const client = createGrpcJsClient(address, tls ? { tls } : {});
    try {
      const answer = await client.unary(METADATA_GET, NOTHING, { deadlineMs: CALL_MS });
      return replicationV1.MetadataResponse.decode(answer).tables.map(({ name }) => name);
    } finally {
      client.close();
    }
  }

  it('B12: a gateway without the token of the nodes is told nothing, and says so to its followers', async () => {
    const { address, restAddress } = await startGateway(['--cluster.token=wrong']);
    await expect(tablesAt(address)).rejects.toMatchObject({ code: UNAVAILABLE });
    expect((await fetch(`${restAddress}/readyz`)).status).toBe(503);
  });

  it('B12: a follower cluster gets in with a certificate, and without one does not', async () => {
    const flags = [
      '--cluster.token=secret',
      `--replication.cert-filename=${folder}/node.crt`,
      `--replication.key-filename=${folder}/node.key`,
      `--replication.ca-filename=${folder}/ca.crt`,
      '--replication.client-cert-auth',
    ];
    const { address } = await startGateway(flags, 'https');
    const trusted = { caFile: `${folder}/ca.crt` };
    const own = { ...trusted, certFile: `${folder}/node.crt`, keyFile: `${folder}/node.key` };
    await waitUntil(
      'the gateway tells of the table',
      async () => (await tablesAt(address, own)).join() === 'orders',
      CALL_MS,
    );
    await expect(tablesAt(address, trusted)).rejects.toMatchObject({ code: UNAVAILABLE });
    const ca = readFileSync(trusted.caFile);
    const pair = { cert: readFileSync(own.certFile), key: readFileSync(own.keyFile) };
    const snapshot = `${address}/snapshots-live/orders`;
    expect(await statusOf(snapshot, { ca, ...pair })).toBe(200);
    await expect(statusOf(snapshot, { ca })).rejects.toThrow();
  });
});

/** Of an answer by HTTP/1.1; rejects where there is none. */
function statusOf(url: string, options: RequestOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = get(url, options, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('error', reject);
  });
}
