/**
 * Nodes of a cluster as a gateway calls them: what each one answers is up to the test.
 *
 * In: conducts by address. Out: a pool of ways to them, and a note of every call.
 */
import { type CallOptions, type GrpcClient, GrpcStatusError, status } from '@flotilla/grpc';
import { type GatewayClock } from '../../src/gateway-clock.js';
import { ClusterConfig } from '../../src/config/gateway-config.js';
import { NodePool } from '../../src/nodes/node-pool.js';

export interface NodeCall {
  readonly address: string;
  readonly path: string;
  readonly request: Buffer;
  readonly options: CallOptions;
}

/** Messages, and an error in the place of the end if the last one is one. */
export type Answers = readonly (Uint8Array | Error)[];
export type Conduct = (call: NodeCall) => Answers | AsyncIterable<Uint8Array>;

export const A = 'http://a:1';
export const B = 'http://b:1';

export function unavailable(message = 'gone', metadata = {}): GrpcStatusError {
  return new GrpcStatusError(status.UNAVAILABLE, message, metadata);
}

/** What a client says that has no connection. */
export function notConnected(): GrpcStatusError {
  return new GrpcStatusError(status.UNAVAILABLE, 'No connection established. Last error: refused');
}

/** A clock that goes on when somebody waits for it. */
export class FakeClock implements GatewayClock {
  now = 1_000_000;
  readonly slept: number[] = [];

  nowMs(): number {
    return this.now;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.now;
  }

  async sleep(delayMs: number): Promise<void> {
    this.slept.push(delayMs);
    this.now += delayMs;
    await this.turn();
  }

  turn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
}

export class FakeNodes {
  readonly calls: NodeCall[] = [];
  readonly closed: string[] = [];
  readonly conducts = new Map<string, Conduct>();
  readonly clock = new FakeClock();
  readonly pool: NodePool;

  constructor(addresses: readonly string[] = [A, B], token = '') {
    const config = Object.assign(new ClusterConfig(), { addresses, token });
    this.pool = new NodePool(config, this.clock, (address) => this.clientOf(address));
  }

  on(address: string, conduct: Conduct): this {
    this.conducts.set(address, conduct);
    return this;
  }

  get called(): string[] {
    return this.calls.map(({ address }) => address);
  }

  private clientOf(address: string): GrpcClient {
    const open = (path: string, request: Uint8Array, options: CallOptions = {}) => {
      const call = { address, path, request: Buffer.from(request), options };
      this.calls.push(call);
      return played(this.conducts.get(address)?.(call) ?? [notConnected()]);
    };
    return {
      serverStream: open,
      unary: async (path, request, options) => {
        for await (const message of open(path, request, options)) return message;
        throw new Error('there was no answer');
      },
      close: () => void this.closed.push(address),
    } as Partial<GrpcClient> as GrpcClient;
  }
}

async function* played(answers: Answers | AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const answer of answers) {
    if (answer instanceof Error) throw answer;
    yield Buffer.from(answer);
  }
}
