/**
 * A follower's calls to the replication port, by grpc-js and bytes made by hand.
 *
 * In: names and indexes. Out: answers as bytes or as the contract reads them; errors as grpc-js has them.
 * It shares no message, no codec and no transport with what it calls.
 */
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import {
  type Pair,
  readPair,
  readReplicateAnswer,
  type ReplicateAnswer,
} from './contract-messages.js';
import { Fields, message } from './wire.js';

const CALL_MS = 120_000;
const RECEIVE_BYTES_MAX = 8 * 1024 * 1024;
/** Followers pack what they send. */
const GZIP = 2;
const asIs = (bytes: Buffer): Buffer => bytes;
const EVERYTHING = Buffer.from([0]);

export interface Chunk {
  readonly data: Buffer;
  readonly len: number;
  readonly hasIndex: boolean;
}

export class ContractClient {
  private readonly client: Client;

  constructor(address: string) {
    this.client = new Client(address.replace(/^http:\/\//, ''), credentials.createInsecure(), {
      'grpc.max_receive_message_length': RECEIVE_BYTES_MAX,
      'grpc.default_compression_algorithm': GZIP,
    });
  }

  close(): void {
    this.client.close();
  }

  unary(path: string, request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + CALL_MS };
      const done = (error: Error | null, answer?: Buffer): void => {
        if (error) reject(error);
        else resolve(answer ?? Buffer.alloc(0));
      };
      this.client.makeUnaryRequest(path, asIs, asIs, request, new Metadata(), options, done);
    });
  }

  async stream(path: string, request: Buffer): Promise<Buffer[]> {
    const options = { deadline: Date.now() + CALL_MS };
    const call = this.client.makeServerStreamRequest(path, asIs, asIs, request, options);
    const messages: Buffer[] = [];
    for await (const each of call as AsyncIterable<Buffer>) messages.push(each);
    return messages;
  }

  /** Names of the tables, each of which must be told as replicated. */
  async tables(): Promise<string[]> {
    const answer = await this.unary('/replication.v1.Metadata/Get', Buffer.alloc(0));
    const tables = new Fields(answer, 'MetadataResponse', { 1: 'bytes' }).all(1);
    return tables.map((each) => {
      const table = new Fields(each, 'Table', { 1: 'bytes', 2: 'varint' });
      if (table.number(2) !== 0) throw new Error(`table ${table.text(1)} is not replicated`);
      return table.text(1);
    });
  }

  async log(table: string, from: bigint | number): Promise<ReplicateAnswer[]> {
    const request = message([1, table], [2, from === 0 ? undefined : from]);
    const messages = await this.stream('/replication.v1.Log/Replicate', request);
    return messages.map(readReplicateAnswer);
  }

  async snapshot(table: string, since?: number): Promise<Chunk[]> {
    const request = message([1, table], [2, since === undefined ? undefined : 1], [3, since]);
    const messages = await this.stream('/replication.v1.Snapshot/Stream', request);
    return messages.map((each) => {
      const chunk = new Fields(each, 'SnapshotChunk', { 1: 'bytes', 2: 'varint', 3: 'varint' });
      return { data: chunk.bytes(1), len: chunk.number(2), hasIndex: chunk.has(3) };
    });
  }

  /** A write of the KV API, passed on as nodes of followers do; gives the revision. */
  async write(method: 'Put' | 'DeleteRange' | 'Txn', request: Buffer): Promise<number> {
    const answer = await this.unary(`/regatta.v1.KV/${method}`, request);
    const fields = new Fields(answer, `${method}Response`, { 1: 'bytes', 2: 'varint', 3: 'bytes' });
    const header = { 1: 'varint', 2: 'varint', 3: 'varint', 4: 'varint', 5: 'varint' } as const;
    return new Fields(fields.bytes(1), 'ResponseHeader', header).number(3);
  }

  /** All pairs, as a linearizable read has them. */
  async pairs(table: string): Promise<Pair[]> {
    const request = message([1, table], [2, EVERYTHING], [3, EVERYTHING], [5, 1]);
    const answer = await this.unary('/regatta.v1.KV/Range', request);
    const shape = { 1: 'bytes', 3: 'bytes', 4: 'varint', 5: 'varint' } as const;
    const fields = new Fields(answer, 'RangeResponse', shape);
    if (fields.number(4) !== 0) throw new Error('the table does not fit one page');
    return fields.all(3).map(readPair);
  }
}
