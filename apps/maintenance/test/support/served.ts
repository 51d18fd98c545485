/**
 * Services of the app on a real server, called by a client that shares no transport with it.
 *
 * In: services. Out: raw bytes of answers, as they come over the wire.
 */
import {
  createGrpcJsClient,
  createGrpcServer,
  type GrpcClient,
  type GrpcServer,
} from '@flotilla/grpc';
import { SILENT_LOGGER } from '@flotilla/platform';

const CALL_MS = 30_000;

export interface Served {
  readonly server: GrpcServer;
  readonly client: GrpcClient;
  readonly unary: (path: string, request: Uint8Array) => Promise<Buffer>;
  readonly stream: (path: string, request: Uint8Array) => Promise<Buffer[]>;
  readonly close: () => Promise<void>;
}

export async function serve(
  ...services: readonly { register(server: GrpcServer): void }[]
): Promise<Served> {
  const server = createGrpcServer('native', { logger: SILENT_LOGGER });
  for (const service of services) service.register(server);
  const { url } = await server.listen('http://127.0.0.1:0');
  const client = createGrpcJsClient(url);
  return {
    server,
    client,
    unary: (path, request) => client.unary(path, request, { deadlineMs: CALL_MS }),
    stream: async (path, request) => {
      const messages: Buffer[] = [];
      for await (const message of client.serverStream(path, request, { deadlineMs: CALL_MS })) {
        messages.push(message);
      }
      return messages;
    },
    close: async () => {
      client.close();
      await server.close();
    },
  };
}
