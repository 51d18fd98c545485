/**
 * One node that the client may talk to, and what is known of it.
 *
 * In: calls. Out: bytes, or a ClientError. A node that was silent for a while is asked for a sign of
 * life before a call is risked on it: the question may be asked twice, a write may not.
 *
 * Must never ask a node twice at a time, however many calls wait for it.
 */
import {
  createGrpcClient,
  GrpcStatusError,
  status,
  type ClientTlsOptions,
  type GrpcClient,
} from '@flotilla/grpc';
import { ClientError, isAnswer, toClientError } from './client-error.js';

/** How long a node has for a sign of life: a handshake over a long way, and no more. */
export const SIGN_OF_LIFE_MS = 1_000;
/** For how long the last answer counts as one. */
const SIGN_VALID_MS = 5_000;
/** For how long a node that gave none is passed over while there are others. */
const REST_MS = 5_000;
/** A node that restarts is away for seconds: the next attempt must not be minutes off. */
const RECONNECT_MIN_MS = 50;
const RECONNECT_MAX_MS = 2_000;

const HEALTH_PATH = '/grpc.health.v1.Health/Check';
/** A question about the server as a whole has no fields. */
const HEALTH_REQUEST = new Uint8Array(0);
/** Ends of a question that may mean that nobody was there. Any other one is a sign of life. */
const NO_SIGN: ReadonlySet<number> = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.CANCELLED,
]);

export interface EndpointCall {
  readonly metadata: Readonly<Record<string, string>>;
  readonly deadlineMs?: number;
}

export class Endpoint {
  private readonly client: GrpcClient;
  private answeredMs = Number.NEGATIVE_INFINITY;
  private restsUntilMs = Number.NEGATIVE_INFINITY;
  private asking: Promise<ClientError | undefined> | undefined;

  constructor(
    readonly address: string,
    tls: ClientTlsOptions | undefined,
  ) {
    this.client = createGrpcClient(address, {
      reconnectMinMs: RECONNECT_MIN_MS,
      reconnectMaxMs: RECONNECT_MAX_MS,
      ...(tls && { tls }),
    });
  }

  get isResting(): boolean {
    return performance.now() < this.restsUntilMs;
  }

  get answeredLately(): boolean {
    return performance.now() < this.answeredMs + SIGN_VALID_MS;
  }

  async unary(path: string, bytes: Uint8Array, call: EndpointCall): Promise<Buffer> {
    let wasHeard = false;
    const onHeaders = () => (wasHeard = true);
    try {
      const answer = await this.client.unary(path, bytes, { ...call, onHeaders });
      this.answered();
      return answer;
    } catch (error) {
      throw this.ended(error, wasHeard);
    }
  }

  async *serverStream(path: string, bytes: Uint8Array, call: EndpointCall): AsyncGenerator<Buffer> {
    let wasHeard = false;
    const onHeaders = () => (wasHeard = true);
    const messages = this.client.serverStream(path, bytes, { ...call, onHeaders });
    try {
      for await (const message of messages) {
        this.answered();
        yield message;
      }
    } catch (error) {
      throw this.ended(error, wasHeard);
    }
  }

  /** Undefined if somebody is there, else why nobody seems to be. All that ask share one question. */
  signOfLife(): Promise<ClientError | undefined> {
    this.asking ??= this.ask().finally(() => (this.asking = undefined));
    return this.asking;
  }

  close(): void {
    this.client.close();
  }

  private async ask(): Promise<ClientError | undefined> {
    try {
      await this.client.unary(HEALTH_PATH, HEALTH_REQUEST, { deadlineMs: SIGN_OF_LIFE_MS });
    } catch (error) {
      if (!(error instanceof GrpcStatusError)) throw error;
      if (NO_SIGN.has(error.code)) {
        this.rest();
        const text = `${this.address} does not answer: ${error.message}`;
        return new ClientError('UNAVAILABLE', text, { cause: error }, true);
      }
    }
    this.answered();
    return undefined;
  }

  private answered(): void {
    this.answeredMs = performance.now();
    this.restsUntilMs = Number.NEGATIVE_INFINITY;
  }

  private ended(error: unknown, wasHeard: boolean): ClientError {
    if (error instanceof GrpcStatusError) {
      if (isAnswer(error)) this.answered();
      else if (NO_SIGN.has(error.code)) this.rest();
    }
    return toClientError(error, wasHeard);
  }

  private rest(): void {
    this.answeredMs = Number.NEGATIVE_INFINITY;
    this.restsUntilMs = performance.now() + REST_MS;
  }
}
