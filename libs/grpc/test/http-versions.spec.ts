/**
 * Both versions of HTTP on one port: calls of gRPC as ever, everything else to whoever takes it.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, request as requestHttp, type Server } from 'node:http';
import { Agent, request as requestHttps } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type ServerTlsOptions } from '../src/tls.js';
import { PATH, startServer, temporaryFolder } from './echo-service.js';
import { createTestClient } from './transport-under-test.js';

const ECHO = Buffer.from('said');

function httpServer(): Server {
  return createServer({ keepAlive: false }, (incoming, answer) => {
    answer.setHeader('connection', 'close');
    answer.end(`${incoming.method} ${incoming.url}`);
  });
}

async function startBoth(tls?: ServerTlsOptions): Promise<string> {
  const http = httpServer();
  const { server } = await startServer();
  const scheme = tls ? 'https' : 'http';
  const { url } = await server.listen(`${scheme}://127.0.0.1:0`, {
    http1: (socket) => void http.emit('connection', socket),
    ...(tls && { tls }),
  });
  return url;
}

async function call(url: string, caFile?: string): Promise<string> {
  const client = createTestClient(url, caFile === undefined ? {} : { tls: { caFile } });
  onTestFinished(() => client.close());
  return (await client.unary(PATH.unary, ECHO, { deadlineMs: 30_000 })).toString();
}

describe('a port for both versions of HTTP', () => {
  it('serves calls of gRPC, and hands over what speaks HTTP/1.1', async () => {
    const url = await startBoth();
    expect(await call(url)).toBe('said');
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'OPTIONS']) {
      const asked = requestHttp(`${url}/x`, { method }).end();
      const [answer] = (await once(asked, 'response')) as [NodeJS.ReadableStream];
      expect(await text(answer)).toBe(`${method} /x`);
    }
  });

  it('tells them apart however few bytes come first', async () => {
    const { hostname, port } = new URL(await startBoth());
    const socket = connect(Number(port), hostname);
    onTestFinished(() => void socket.destroy());
    socket.setNoDelay(true);
    const answer = text(socket);
    for (const piece of [
      'P',
      'UT /in-pieces HTTP/1.1\r\n',
      'host: x\r\nconnection: close\r\n\r\n',
    ]) {
      socket.write(piece);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(await answer).toContain('PUT /in-pieces');
  });

  it('without a taker is for gRPC alone', async () => {
    const { url } = await startServer();
    const asked = requestHttp(`${url}/x`).end();
    await expect(once(asked, 'response')).rejects.toThrow();
    expect(await call(url)).toBe('said');
  });

  it('serves both over TLS, by what a client offers', async () => {
    const folder = temporaryFolder();
    makeCertificate(folder);
    const certFile = join(folder, 'node.crt');
    const url = await startBoth({ certFile, keyFile: join(folder, 'node.key') });
    expect(await call(url, certFile)).toBe('said');
    const ca = readFileSync(certFile);
    for (const protocols of [['http/1.1'], ['h2', 'http/1.1'], []]) {
      const agent = new Agent({ ca, ALPNProtocols: protocols });
      const asked = requestHttps(`${url}/x`, { agent }).end();
      const [answer] = (await once(asked, 'response')) as [NodeJS.ReadableStream];
      expect(await text(answer)).toBe('GET /x');
    }
  });

  it('lets nobody in over HTTP/1.1 whose certificate is not allowed', async () => {
    const folder = temporaryFolder();
    makeCertificate(folder);
    const [certFile, keyFile] = [join(folder, 'node.crt'), join(folder, 'node.key')];
    const rules = { caFile: certFile, clientCertAuth: true, allowedCn: 'somebody-else' };
    const url = await startBoth({ certFile, keyFile, ...rules });
    const own = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
    for (const shown of [{}, own]) {
      const agent = new Agent({ ca: readFileSync(certFile), ...shown });
      const asked = requestHttps(`${url}/x`, { agent }).end();
      await expect(once(asked, 'response')).rejects.toThrow();
    }
  });
});

function makeCertificate(folder: string): void {
  const key = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=node'];
  const names = ['-addext', 'subjectAltName=IP:127.0.0.1'];
  const files = ['-keyout', 'node.key', '-out', 'node.crt'];
  execFileSync('openssl', [...key, ...names, ...files], { cwd: folder, stdio: 'ignore' });
}
