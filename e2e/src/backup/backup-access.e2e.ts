/**
 * Who may ask for backups: TLS and tokens on the port of the maintenance app, and on that of a node that
 * passes calls on, in the texts that tools of Regatta know.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FlotillaClient } from '@flotilla/client';
import { createGrpcClient, createGrpcJsClient, status } from '@flotilla/grpc';
import { freePort } from '@flotilla/grpc/testing';
import { backupsV1, maintenanceV1 } from '@flotilla/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cli } from '../harness/cli.js';
import { waitUntil } from '../harness/cluster.js';
import { MaintenanceProcess } from '../harness/maintenance-process.js';
import { NodeProcess, temporaryFolder } from '../harness/node-process.js';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasOpenssl) console.warn('SKIPPED: no openssl on this machine to make certificates with');

const TOKEN = 'of backups';
const CALL_MS = 30_000;
const REGATTA = '/maintenance.v1.Maintenance';
const BACKUPS = '/flotilla.maintenance.v1.Backups';

describe.skipIf(!hasOpenssl)('the port of backups', () => {
  const folder = temporaryFolder('backup-access');
  const file = (name: string) => join(folder, name);
  let node: NodeProcess;
  let app: MaintenanceProcess;

  const openssl = (name: string, args: readonly string[]) =>
    spawnSync('openssl', [...args, '-keyout', `${name}.key`, '-out', `${name}.crt`], {
      cwd: folder,
    });
  const key = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2'];
  const signed = (name: string, cn: string, alternative: string) =>
    openssl(name, [
      ...key,
      ...['-CA', 'ca.crt', '-CAkey', 'ca.key', '-subj', `/CN=${cn}`],
      ...['-addext', `subjectAltName=${alternative}`],
    ]);

  beforeAll(async () => {
    openssl('ca', [...key, '-subj', '/CN=test-ca']);
    signed('app', 'app', 'IP:127.0.0.1');
    signed('tool', 'operator', 'DNS:tool');
    signed('other', 'somebody', 'DNS:other');
    const port = await freePort();
    node = await NodeProcess.start({
      flags: [
        `--maintenance.address=https://127.0.0.1:${port}`,
        `--maintenance.token=${TOKEN}`,
        `--maintenance.ca-filename=${file('ca.crt')}`,
        `--maintenance.cert-filename=${file('tool.crt')}`,
        `--maintenance.key-filename=${file('tool.key')}`,
      ],
    });
    const flags = [
      `--maintenance.token=${TOKEN}`,
      `--maintenance.cert-filename=${file('app.crt')}`,
      `--maintenance.key-filename=${file('app.key')}`,
      `--maintenance.ca-filename=${file('ca.crt')}`,
      '--maintenance.client-cert-auth',
      '--maintenance.allowed-cn=operator',
    ];
    app = await MaintenanceProcess.start([node.apiAddress], file('store'), flags, { port });
    const client = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: CALL_MS });
    await client.createTable('t');
    await client.put({ table: 't', key: 'a', value: 'b' });
    client.close();
  });

  afterAll(async () => {
    await app?.kill();
    await node?.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  const tlsOf = (name: string) => ({
    caFile: file('ca.crt'),
    certFile: file(`${name}.crt`),
    keyFile: file(`${name}.key`),
  });

  const credentials = (authorization: string | undefined) =>
    authorization === undefined ? {} : { metadata: { authorization } };

  async function backupOf(table: string, from: string, authorization?: string): Promise<number> {
    const client = createGrpcClient(from, from.startsWith('https') ? { tls: tlsOf('tool') } : {});
    const request = maintenanceV1.BackupRequest.encode({ table: Buffer.from(table) }).finish();
    const options = { ...credentials(authorization), deadlineMs: CALL_MS };
    let bytes = 0;
    try {
      for await (const chunk of client.serverStream(`${REGATTA}/Backup`, request, options)) {
        bytes += chunk.length;
      }
    } finally {
      client.close();
    }
    return bytes;
  }

  it('lets in who has the certificate and the token, also by way of a node', async () => {
    expect(await backupOf('t', app.address, `Bearer ${TOKEN}`)).toBeGreaterThan(0);
    expect(await backupOf('t', node.apiAddress, `bearer ${TOKEN}`)).toBeGreaterThan(0);
  });

  it('refuses no token, another scheme and a wrong one in the words of Regatta, on both ports', async () => {
    const missing = 'Request unauthenticated with bearer';
    const refusals: readonly (readonly [string | undefined, string])[] = [
      [undefined, missing],
      ['Basic abc', missing],
      [TOKEN.replaceAll(' ', ''), 'Bad authorization string'],
      ['Bearer wrong', 'Invalid token'],
      [`Bearer ${TOKEN}x`, 'Invalid token'],
      ['Bearer ', 'Invalid token'],
    ];
    for (const [header, message] of refusals) {
      for (const from of [app.address, node.apiAddress]) {
        await expect(backupOf('t', from, header), `${header} at ${from}`).rejects.toMatchObject({
          code: status.UNAUTHENTICATED,
          message,
        });
      }
      const client = createGrpcClient(app.address, { tls: tlsOf('tool') });
      const request = backupsV1.ListBackupsRequest.encode({}).finish();
      const options = { ...credentials(header), deadlineMs: CALL_MS };
      const call = client.unary(`${BACKUPS}/List`, request, options);
      await expect(call).rejects.toMatchObject({ code: status.UNAUTHENTICATED, message });
      client.close();
    }
  });

  it('is not reached with a certificate of another name, with none, or without TLS', async () => {
    const clients = [
      createGrpcClient(app.address, { tls: tlsOf('other') }),
      createGrpcClient(app.address, { tls: { caFile: file('ca.crt') } }),
      createGrpcClient(app.address.replace('https', 'http')),
      createGrpcJsClient(app.address, { tls: tlsOf('other') }),
    ];
    const request = backupsV1.ListBackupsRequest.encode({}).finish();
    for (const client of clients) {
      const options = { metadata: { authorization: `Bearer ${TOKEN}` }, deadlineMs: CALL_MS };
      const call = client.unary(`${BACKUPS}/List`, request, options);
      await expect(call).rejects.toMatchObject({ code: status.UNAVAILABLE });
      client.close();
    }
  });

  it('is what the command line tool uses with --cacert, --cert and --key', async () => {
    const cli = new Cli(node.apiAddress);
    const flags = ['--maintenance', app.address, '--token', TOKEN, '--cacert', file('ca.crt')];
    const certificate = ['--cert', file('tool.crt'), '--key', file('tool.key')];
    const made = await cli.ok(['backup', 'create', ...flags, ...certificate]);
    expect(made).toMatch(/^Backup \S+ created: 1 tables, 1 rows/);
    expect(await cli.ok(['backup', 'list', ...flags, ...certificate])).toMatch(/full/);
    const { code, stderr } = await cli.run(['backup', 'list', ...flags]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/UNAVAILABLE/);
  });

  it('shows a renewed certificate to the next connection, without a new start', async () => {
    openssl('ca2', [...key, '-subj', '/CN=new-ca']);
    openssl('app2', [
      ...key,
      ...['-CA', 'ca2.crt', '-CAkey', 'ca2.key', '-subj', '/CN=app'],
      ...['-addext', 'subjectAltName=IP:127.0.0.1'],
    ]);
    copyFileSync(file('app2.key'), file('app.key'));
    copyFileSync(file('app2.crt'), file('app.crt'));
    await waitUntil(
      'it is shown',
      async () => {
        const client = createGrpcClient(app.address, {
          tls: { ...tlsOf('tool'), caFile: file('ca2.crt') },
        });
        const request = backupsV1.ListBackupsRequest.encode({}).finish();
        const options = { metadata: { authorization: `Bearer ${TOKEN}` }, deadlineMs: CALL_MS };
        try {
          return (await client.unary(`${BACKUPS}/List`, request, options)).length > 0;
        } catch {
          return false;
        } finally {
          client.close();
        }
      },
      CALL_MS,
    );
  });
});
