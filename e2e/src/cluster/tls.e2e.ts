/**
 * Nodes that show each other certificates: a cluster works, and who shows none does not get in.
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createGrpcClient } from '@flotilla/grpc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster } from '../harness/cluster.js';
import { CALL_MS, temporaryFolder } from '../harness/node-process.js';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasOpenssl) console.warn('SKIPPED: no openssl on this machine to make certificates with');

describe.skipIf(!hasOpenssl)('certificates between nodes', () => {
  const folder = temporaryFolder('peer-tls');
  let cluster: Cluster;
  beforeAll(async () => {
    const make = (name: string, args: readonly string[]) =>
      spawnSync('openssl', [...args, '-keyout', `${name}.key`, '-out', `${name}.crt`], {
        cwd: folder,
      });
    const key = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2'];
    make('ca', [...key, '-subj', '/CN=test-ca']);
    const signed = [...key, '-CA', 'ca.crt', '-CAkey', 'ca.key', '-subj', '/CN=node'];
    make('node', [...signed, '-addext', 'subjectAltName=IP:127.0.0.1']);
    cluster = await Cluster.start(3, {
      flags: [
        `--raft.cert-filename=${folder}/node.crt`,
        `--raft.key-filename=${folder}/node.key`,
        `--raft.ca-filename=${folder}/ca.crt`,
        '--raft.client-cert-auth',
      ],
    });
  });
  afterAll(async () => {
    await cluster.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  it('three nodes elect, replicate and pass calls on over TLS', async () => {
    await cluster.client(1).createTable('secret');
    for (const id of cluster.ids) {
      await cluster.client(id).put({ table: 'secret', key: `k${id}`, value: 'v' });
    }
    const everything = { table: 'secret', key: '\0', rangeEnd: '\0', countOnly: true };
    for (const id of cluster.ids) {
      const { count } = await cluster.client(id).range({ ...everything, linearizable: true });
      expect(count).toBe(3);
    }
  });

  it('a client without a certificate, or without TLS, reaches no node', async () => {
    const { raftAddress } = cluster.node(1);
    const path = '/flotilla.peer.v1.Peer/AwaitCatalog';
    for (const client of [
      createGrpcClient(`https://${raftAddress}`, { tls: { caFile: `${folder}/ca.crt` } }),
      createGrpcClient(`http://${raftAddress}`),
    ]) {
      const call = client.unary(path, Buffer.alloc(0), { deadlineMs: CALL_MS });
      await expect(call).rejects.toMatchObject({ code: 14 });
      client.close();
    }
  });

  it('a certificate alone does not make a member', async () => {
    const { raftAddress } = cluster.node(1);
    const tls = {
      caFile: `${folder}/ca.crt`,
      certFile: `${folder}/node.crt`,
      keyFile: `${folder}/node.key`,
    };
    const client = createGrpcClient(`https://${raftAddress}`, { tls });
    const path = '/flotilla.peer.v1.Peer/AwaitCatalog';
    await expect(
      client.unary(path, Buffer.alloc(0), { deadlineMs: CALL_MS }),
    ).rejects.toMatchObject({
      code: 9,
      message: 'the call does not say which node makes it',
    });
    client.close();
  });
});
