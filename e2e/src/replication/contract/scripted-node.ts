/**
 * A node that has nothing but a scripted log, as far as a gateway can tell.
 *
 * In: commands as bytes, the first one of index 1. Out: an address where the gateway finds them. It is
 * there for commands that no call of the KV API makes, and for those that no peer may get.
 */
import {
  type CallContext,
  createGrpcServer,
  type GrpcServer,
  type MessageSink,
} from '@flotilla/grpc';
import { Fields, message, type Shape } from './wire.js';

const FEED = '/flotilla.replication.v1.Feed';
const TABLE_ID = 10_001;
const READ_LOG: Shape = {
  ...{ 1: 'bytes', 2: 'varint', 3: 'varint', 4: 'varint', 5: 'varint', 6: 'varint' },
};
const SILENT = { error: () => undefined, warn: () => undefined, info: () => undefined };

export class ScriptedNode {
  private constructor(
    private readonly server: GrpcServer,
    readonly address: string,
  ) {}

  static async start(table: string, log: readonly Buffer[]): Promise<ScriptedNode> {
    const server = createGrpcServer('native', { logger: SILENT });
    server.register(`${FEED}/WatchTables`, 'server-stream', (_, call, sink) =>
      watch(table, call, sink),
    );
    server.register(`${FEED}/ReadLog`, 'server-stream', async (request, _, sink) => {
      const from = new Fields(request, 'ReadLogRequest', READ_LOG).number(3);
      const applied = log.length;
      const position = message([1, TABLE_ID], [2, TABLE_ID], [3, 1], [4, applied]);
      await sink.write(message([1, position], [3, applied]));
      const entries = log
        .slice(from - 1)
        .map((command, at) => message([1, from + at], [2, command]));
      if (entries.length === 0) return;
      await sink.write(message(...entries.map((entry) => [2, entry] as const), [3, applied]));
    });
    const { url } = await server.listen('http://127.0.0.1:0');
    return new ScriptedNode(server, url);
  }

  async close(): Promise<void> {
    await this.server.close();
  }
}

async function watch(name: string, call: CallContext, sink: MessageSink): Promise<void> {
  const table = message([1, TABLE_ID], [2, name], [3, TABLE_ID], [5, Buffer.from([1])], [6, 1]);
  await sink.write(message([1, 1], [3, table]));
  await new Promise<void>((resolve) => {
    call.signal.addEventListener('abort', () => resolve(), { once: true });
    if (call.cancelled) resolve();
  });
}
