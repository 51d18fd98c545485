/**
 * A client made from nothing but the .proto files and grpc-js, as any user would make one: it shares
 * no generated code, no codec and no transport with the server it tests.
 */
import { join } from 'node:path';
import {
  credentials,
  loadPackageDefinition,
  Metadata,
  type ChannelCredentials,
  type Client,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ROOT } from './node-process.js';

const PROTO_DIR = join(ROOT, 'libs/proto/proto');
const CALL_MS = 30_000;

/** Answers as proto-loader makes them: names in snake_case, numbers as text. */
export type Answer = Record<string, unknown>;

interface Methods {
  [name: string]: (
    request: object,
    metadata: Metadata,
    options: object,
    done: (error: ServiceError | null, answer: Answer) => void,
  ) => void;
}

interface Streams {
  [name: string]: (request: object, metadata: Metadata, options: object) => AsyncIterable<Answer>;
}

export interface PlainError {
  readonly code: number;
  readonly details: string;
}

export class PlainClient {
  private readonly clients = new Map<string, Client>();
  private readonly packages = loadPackageDefinition(
    loadSync(
      ['regatta/v1/regatta.proto', 'maintenance/v1/maintenance.proto'].map((file) =>
        join(PROTO_DIR, file),
      ),
      { includeDirs: [PROTO_DIR], keepCase: true, longs: String, enums: Number, defaults: true },
    ),
  );

  constructor(
    private readonly address: string,
    private readonly channel: ChannelCredentials = credentials.createInsecure(),
    private readonly options: object = {},
  ) {}

  /** `call('KV', 'Put', {...})`; rejects with grpc-js's error. */
  call(service: string, method: string, request: object, headers: object = {}): Promise<Answer> {
    const client = this.client(service) as unknown as Methods;
    const metadata = Metadata.fromHttp2Headers(headers as Record<string, string>);
    return new Promise((resolve, reject) => {
      const send = client[method];
      if (!send) throw new Error(`there is no method ${method}`);
      send.call(client, request, metadata, deadline(), (error, answer) => {
        if (error) reject(error);
        else resolve(withTextNumbers(answer) as Answer);
      });
    });
  }

  /** Expects a refusal and returns it. */
  async refusal(
    service: string,
    method: string,
    request: object,
    headers: object = {},
  ): Promise<PlainError> {
    const outcome = await this.call(service, method, request, headers).then(
      (answer) => ({ answer }),
      (error: ServiceError) => ({ error }),
    );
    if ('error' in outcome) return { code: outcome.error.code, details: outcome.error.details };
    throw new Error(`${method} was not refused: ${JSON.stringify(outcome.answer).slice(0, 500)}`);
  }

  async stream(service: string, method: string, request: object): Promise<Answer[]> {
    const client = this.client(service) as unknown as Streams;
    const open = client[method];
    if (!open) throw new Error(`there is no method ${method}`);
    const answers: Answer[] = [];
    for await (const answer of open.call(client, request, new Metadata(), deadline())) {
      answers.push(withTextNumbers(answer) as Answer);
    }
    return answers;
  }

  close(): void {
    for (const client of this.clients.values()) client.close();
  }

  private client(service: string): Client {
    const known = this.clients.get(service);
    if (known) return known;
    const v1 = (this.packages['regatta'] as unknown as { v1: Record<string, unknown> }).v1;
    const Constructor = v1[service] as new (
      address: string,
      channel: ChannelCredentials,
      options: object,
    ) => Client;
    const target = this.address.replace(/^https?:\/\//, '').replace(/^unixs?:\/\//, 'unix:');
    const client = new Constructor(target, this.channel, {
      'grpc.max_receive_message_length': -1,
      ...this.options,
    });
    this.clients.set(service, client);
    return client;
  }
}

/** proto-loader gives 64-bit numbers as text, but their default as 0: here all of them are text. */
function withTextNumbers(value: unknown): unknown {
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  if (Array.isArray(value)) return value.map(withTextNumbers);
  const entries = Object.entries(value).map(([name, each]) => [name, withTextNumbers(each)]);
  return Object.fromEntries(entries) as unknown;
}

function deadline(): object {
  return { deadline: Date.now() + CALL_MS };
}
