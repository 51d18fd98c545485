/**
 * TLS and client certificates on real sockets, with certificates made by openssl for the test.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type ClientTlsOptions } from '../src/client.js';
import { GrpcError } from '../src/errors.js';
import { GrpcStatusError } from '../src/status.js';
import { type ServerTlsOptions } from '../src/tls.js';
import { PATH, startServer, temporaryFolder } from './echo-service.js';
import { createTestClient } from './transport-under-test.js';

function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch (error) {
    console.warn(`SKIPPED: TLS tests need the openssl command (${String(error)})`);
    return false;
  }
}

/** Makes `ca` and, signed by it, the certificates asked for: name -> subject alternative name. */
function makeCertificates(folder: string, leaves: Record<string, string>): void {
  const run = (...words: string[]): void => {
    execFileSync('openssl', words, { cwd: folder, stdio: 'ignore' });
  };
  const key = (name: string): void => {
    run(
      'genpkey',
      '-algorithm',
      'EC',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-out',
      `${name}.key`,
    );
  };
  key('ca');
  run(
    'req',
    '-x509',
    '-new',
    '-key',
    'ca.key',
    '-subj',
    '/CN=test ca',
    '-days',
    '2',
    '-out',
    'ca.crt',
  );
  for (const [name, alternative] of Object.entries(leaves)) {
    key(name);
    run(
      'req',
      '-new',
      '-key',
      `${name}.key`,
      '-subj',
      `/O=tests/CN=${name}`,
      '-out',
      `${name}.csr`,
    );
    writeFileSync(join(folder, `${name}.ext`), `subjectAltName=${alternative}\n`);
    run(
      ...['x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.crt', '-CAkey', 'ca.key'],
      ...['-CAcreateserial', '-days', '2', '-extfile', `${name}.ext`, '-out', `${name}.crt`],
    );
  }
}

function pair(folder: string, name: string): ServerTlsOptions {
  return { certFile: join(folder, `${name}.crt`), keyFile: join(folder, `${name}.key`) };
}

async function call(url: string, tls: ClientTlsOptions): Promise<string> {
  const client = createTestClient(url, { tls });
  onTestFinished(() => client.close());
  try {
    const answer = await client.unary(PATH.unary, Buffer.from('over tls'), { deadlineMs: 30_000 });
    return answer.toString();
  } catch (error) {
    return error instanceof GrpcStatusError ? `refused ${error.code}` : String(error);
  }
}

describe.skipIf(!hasOpenssl())('TLS', () => {
  const local = 'DNS:localhost,IP:127.0.0.1';

  it('serves https and unixs to clients that trust its authority, and to no others', async () => {
    const folder = temporaryFolder();
    makeCertificates(folder, { server: local });
    const tls = pair(folder, 'server');
    const { server, url } = await startServer({}, 'https://127.0.0.1:0', { tls });
    const caFile = join(folder, 'ca.crt');
    expect(await call(url, { caFile })).toBe('over tls');
    expect(await call(url, {})).toBe('refused 14');
    const socket = await server.listen(`unixs://${join(folder, 's.sock')}`, { tls });
    expect(await call(socket.url, { caFile, serverName: 'localhost' })).toBe('over tls');
  });

  it('a client that is told not to check takes a certificate of anybody', async () => {
    const folder = temporaryFolder();
    makeCertificates(folder, { server: 'DNS:elsewhere.example' });
    const { url } = await startServer({}, 'https://127.0.0.1:0', { tls: pair(folder, 'server') });
    expect(await call(url, { caFile: join(folder, 'ca.crt') })).toBe('refused 14');
    expect(await call(url, { insecureSkipVerify: true })).toBe('over tls');
  });

  it('asks for client certificates of its authority', async () => {
    const folder = temporaryFolder();
    makeCertificates(folder, { server: local, alice: 'DNS:alice.example' });
    const strangers = temporaryFolder();
    makeCertificates(strangers, { mallory: 'DNS:alice.example' });
    const caFile = join(folder, 'ca.crt');
    const tls = { ...pair(folder, 'server'), caFile, clientCertAuth: true };
    const { url } = await startServer({}, 'https://127.0.0.1:0', { tls });
    expect(await call(url, { caFile })).toBe('refused 14');
    expect(await call(url, { caFile, ...pair(folder, 'alice') })).toBe('over tls');
    expect(await call(url, { caFile, ...pair(strangers, 'mallory') })).toBe('refused 14');
  });

  it('lets in one common name, or one host name, if told so', async () => {
    const folder = temporaryFolder();
    makeCertificates(folder, {
      server: local,
      alice: 'DNS:a.example,IP:10.0.0.1',
      bob: 'DNS:*.b.example',
    });
    const caFile = join(folder, 'ca.crt');
    const base = { ...pair(folder, 'server'), caFile, clientCertAuth: true };
    const verdicts = async (rule: Partial<ServerTlsOptions>): Promise<boolean[]> => {
      const { url } = await startServer({}, 'https://127.0.0.1:0', { tls: { ...base, ...rule } });
      const answers = [];
      for (const name of ['alice', 'bob']) {
        answers.push((await call(url, { caFile, ...pair(folder, name) })) === 'over tls');
      }
      return answers;
    };
    expect(await verdicts({ allowedCn: 'alice' })).toEqual([true, false]);
    expect(await verdicts({ allowedHostname: 'a.example' })).toEqual([true, false]);
    expect(await verdicts({ allowedHostname: 'x.b.example' })).toEqual([false, true]);
    expect(await verdicts({ allowedHostname: '10.0.0.1' })).toEqual([true, false]);
    expect(await verdicts({ allowedHostname: 'alice' })).toEqual([false, false]);
  });

  it('uses renewed certificates for the next connection, and keeps the old ones if the new are broken', async () => {
    const folder = temporaryFolder();
    const live = temporaryFolder();
    const other = temporaryFolder();
    makeCertificates(folder, { server: local });
    makeCertificates(other, { server: local });
    const install = (from: string, ...files: string[]): void => {
      for (const file of files) {
        cpSync(join(from, file), join(live, file));
      }
    };
    install(folder, 'server.crt', 'server.key');
    const { url, logger } = await startServer({}, 'https://127.0.0.1:0', {
      tls: pair(live, 'server'),
    });
    const old = { caFile: join(folder, 'ca.crt') };
    const renewed = { caFile: join(other, 'ca.crt') };
    expect(await call(url, old)).toBe('over tls');
    expect(await call(url, renewed)).toBe('refused 14');

    // Half of a renewal: the certificate is there, its key is not yet.
    install(other, 'server.crt');
    expect(await call(url, old)).toBe('over tls');
    expect(logger.lines.some(({ level }) => level === 'error')).toBe(true);

    install(other, 'server.key');
    expect(await call(url, renewed)).toBe('over tls');
    expect(await call(url, old)).toBe('refused 14');
  });

  it('refuses settings that do not fit together, naming what is wrong', async () => {
    const folder = temporaryFolder();
    makeCertificates(folder, { server: local, other: local });
    const good = pair(folder, 'server');
    const caFile = join(folder, 'ca.crt');
    const refusal = async (address: string, tls?: ServerTlsOptions): Promise<string> => {
      try {
        await startServer({}, address, tls === undefined ? undefined : { tls });
      } catch (error) {
        expect(error).toBeInstanceOf(GrpcError);
        return (error as GrpcError).message;
      }
      return 'none';
    };
    const https = 'https://127.0.0.1:0';
    expect(await refusal(https)).toContain('needs a certificate and a key');
    expect(await refusal('http://127.0.0.1:0', good)).toContain('is not encrypted');
    expect(await refusal(https, { ...good, keyFile: '' })).toContain('both');
    expect(await refusal(https, { ...good, keyFile: join(folder, 'other.key') })).toContain(
      'cannot be used',
    );
    expect(await refusal(https, { ...good, certFile: join(folder, 'nope.crt') })).toContain(
      'nope.crt cannot be read',
    );
    expect(await refusal(https, { ...good, clientCertAuth: true })).toContain('CA file');
    expect(await refusal(https, { ...good, allowedCn: 'a' })).toContain('CA file');
    expect(
      await refusal(https, { ...good, caFile, allowedCn: 'a', allowedHostname: 'b' }),
    ).toContain('mutually exclusive');
  });
});
