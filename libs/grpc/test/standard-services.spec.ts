/**
 * Health and reflection as any client of gRPC sees them.
 */
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { protoPath as healthProto } from 'grpc-health-check';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { addHealthService, type HealthService } from '../src/health.js';
import { addReflectionService } from '../src/reflection.js';
import { PROTO_FILE, registerEcho, startServer } from './echo-service.js';

type Callback = (error: grpc.ServiceError | null, reply: { status: string }) => void;

interface HealthClient extends grpc.Client {
  check(request: object, callback: Callback): void;
  watch(request: object): grpc.ClientReadableStream<{ status: string }>;
}

interface ReflectionReply {
  listServicesResponse?: { service: { name: string }[] };
  fileDescriptorResponse?: { fileDescriptorProto: Buffer[] };
  errorResponse?: { errorCode: number; errorMessage: string };
}

function clientOf<T extends grpc.Client>(proto: string, service: string, port: number): T {
  const loaded = grpc.loadPackageDefinition(loadSync(proto, { enums: String, oneofs: true }));
  const found = service
    .split('.')
    .reduce((at: unknown, name) => (at as Record<string, unknown>)[name], loaded);
  const Client = found as new (target: string, credentials: grpc.ChannelCredentials) => T;
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  onTestFinished(() => client.close());
  return client;
}

/** A FileDescriptorSet of the test proto, put together by hand: field 1, once per file. */
function descriptorSet(): Buffer {
  const [first] = Object.values(loadSync(PROTO_FILE));
  const files = (first?.['fileDescriptorProtos'] ?? []) as Buffer[];
  return Buffer.concat(
    files.map((file) => {
      const length = Buffer.from([0x0a, (file.length & 0x7f) | 0x80, file.length >> 7]);
      return Buffer.concat([length, file]);
    }),
  );
}

describe('health', () => {
  it('answers what the app has said of each service, and tells watchers of changes', async () => {
    let health: HealthService | undefined;
    const { port } = await startServer({}, undefined, undefined, (server) => {
      health = addHealthService(server);
    });
    const client = clientOf<HealthClient>(healthProto, 'grpc.health.v1.Health', port);
    const check = (service: string): Promise<string> =>
      new Promise((resolve) => {
        client.check({ service }, (error, reply) =>
          resolve(error === null ? reply.status : `error ${error.code}`),
        );
      });
    expect(await check('')).toBe('NOT_SERVING');
    health?.setServingStatus('', 'SERVING');
    health?.setServingStatus('a.v1.B', 'NOT_SERVING');
    expect([await check(''), await check('a.v1.B')]).toEqual(['SERVING', 'NOT_SERVING']);
    expect(await check('a.v1.C')).toBe('error 5');

    const seen: string[] = [];
    const watch = client.watch({ service: 'a.v1.B' });
    watch.on('data', ({ status }: { status: string }) => seen.push(status));
    watch.on('error', () => undefined);
    await expect.poll(() => seen).toEqual(['NOT_SERVING']);
    health?.setServingStatus('a.v1.B', 'SERVING');
    await expect.poll(() => seen).toEqual(['NOT_SERVING', 'SERVING']);
    watch.cancel();
  });
});

describe('reflection', () => {
  const root = dirname(createRequire(import.meta.url).resolve('@grpc/reflection/package.json'));

  it.each(['v1', 'v1alpha'])('lists and describes what is registered, by %s', async (version) => {
    const { port } = await startServer({}, undefined, undefined, (server) => {
      registerEcho(server);
      addHealthService(server);
      addReflectionService(server, descriptorSet());
    });
    const proto = join(root, `build/proto/grpc/reflection/${version}/reflection.proto`);
    const name = `grpc.reflection.${version}.ServerReflection`;
    const client = clientOf<grpc.Client>(proto, name, port) as grpc.Client & {
      serverReflectionInfo(): grpc.ClientDuplexStream<object, ReflectionReply>;
    };
    const ask = (requests: object[]): Promise<ReflectionReply[]> =>
      new Promise((resolve, reject) => {
        const call = client.serverReflectionInfo();
        const replies: ReflectionReply[] = [];
        call.on('data', (reply: ReflectionReply) => replies.push(reply));
        call.on('error', reject);
        call.on('end', () => resolve(replies));
        requests.forEach((request) => call.write(request));
        call.end();
      });
    const [services, symbol, unknown] = await ask([
      { listServices: '*' },
      { fileContainingSymbol: 'test.v1.Echo' },
      { fileContainingSymbol: 'test.v1.Nope' },
    ]);
    const names = services?.listServicesResponse?.service.map((service) => service.name);
    expect(names?.sort()).toEqual([
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
      'test.v1.Echo',
    ]);
    const [file] = symbol?.fileDescriptorResponse?.fileDescriptorProto ?? [];
    expect(file?.includes('EchoRequest')).toBe(true);
    expect(unknown?.errorResponse?.errorCode).toBe(5);
  });
});
