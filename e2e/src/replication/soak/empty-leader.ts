/**
 * A gateway that answers as one of Regatta whose table manager is empty: there are no tables, says it, and serves
 * no stream. In: nothing. Out: its address, and how often it was asked.
 */
import { createNativeServer } from '@flotilla/grpc';
import { replicationV1 } from '@flotilla/proto';

export interface EmptyLeader {
  readonly address: string;
  readonly asked: () => number;
  readonly close: () => Promise<void>;
}

const quiet = { error: () => undefined, warn: () => undefined, info: () => undefined };

export async function startEmptyLeader(): Promise<EmptyLeader> {
  const server = createNativeServer({ logger: quiet });
  let asked = 0;
  server.register('/replication.v1.Metadata/Get', 'unary', () => {
    asked++;
    return replicationV1.MetadataResponse.encode({ tables: [] }).finish();
  });
  const { url } = await server.listen('http://127.0.0.1:0');
  return { address: url, asked: () => asked, close: async () => void (await server.close()) };
}
