/**
 * A server that is measured: one node or three, started as processes and loaded at its leader.
 */
import { createGrpcJsClient } from '@flotilla/grpc';
import type { Protocol, RangeAnswer, RangeQuery } from './protocol.js';

const CALL_MS = 60_000;

export interface Server {
  /** `flotilla`, `etcd`: what tables and JSON lines call it. */
  readonly name: string;
  /** Version, engine, transport: whatever tells one measurement from another. */
  readonly details: Readonly<Record<string, string>>;
  readonly protocol: Protocol;
  /** Of all its nodes. */
  readonly pids: readonly number[];
  /** `host:port` of the node that leads. */
  readonly address: string;
  /** Stops all nodes cleanly and starts them on the same data. */
  restart(): Promise<void>;
  /** Ends all nodes and removes what they wrote. Idempotent. */
  dispose(): Promise<void>;
}

/** Asks a server with a real client, which knows and checks all of gRPC. */
export async function ask(server: Server, path: string, request: Uint8Array): Promise<Buffer> {
  const client = createGrpcJsClient(`http://${server.address}`);
  try {
    return await client.unary(path, request, { deadlineMs: CALL_MS });
  } finally {
    client.close();
  }
}

export async function readRange(server: Server, query: RangeQuery): Promise<RangeAnswer> {
  const { protocol } = server;
  return protocol.readRange(await ask(server, protocol.rangePath, protocol.range(query)));
}
