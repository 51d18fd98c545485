/**
 * A unary call that needs nothing unusual: no guards, no packed messages, observers that only count.
 * It costs one object; a handler that answers in the same tick costs no promise and no timer.
 *
 *     running --(answer, error, deadline, cancel)--> ended
 *
 * All other calls are `ServerCall`s; what a client sees of both is the same.
 */
import { GrpcError } from '../errors.js';
import {
  checkMetadataPair,
  metadataPairs,
  type MetadataValue,
  type ReceivedMetadata,
} from '../metadata.js';
import { type RegisteredMethod } from '../server/method-table.js';
import { type MetadataPairs } from '../server/server-call.js';
import { GrpcStatusError, status, toStatusError, type StatusCode } from '../status.js';
import {
  type CallContext,
  type GrpcLogger,
  type MessageBytes,
  type UnaryHandler,
  type UnaryObserver,
} from '../transport.js';

/** What such a call needs of its stream. */
export interface UnaryWire {
  readonly peer: string;
  /** Headers, the one message and the status OK. */
  answer(headers: MetadataPairs, message: MessageBytes, trailers: MetadataPairs): void;
  /** A status without a message. */
  refuse(headers: MetadataPairs, code: StatusCode, message: string, trailers: MetadataPairs): void;
}

export interface UnaryHost {
  readonly logger: GrpcLogger;
  readonly unaryObservers: readonly UnaryObserver[];
  onBegin(): void;
  onDone(): void;
}

const NO_PAIRS: MetadataPairs = [];
const TIMER_MS_MAX = 2 ** 31 - 1;

export class UnaryCall implements CallContext {
  private end: GrpcStatusError | 'ok' | undefined;
  private abort: AbortController | undefined;
  private headers: [string, MetadataValue][] | undefined;
  private trailers: [string, MetadataValue][] | undefined;
  private timer: NodeJS.Timeout | undefined;
  private startedMs = 0;

  constructor(
    private readonly host: UnaryHost,
    private readonly wire: UnaryWire,
    private readonly method: RegisteredMethod,
    readonly metadata: ReceivedMetadata,
    readonly deadline: number | undefined,
  ) {}

  get path(): string {
    return this.method.info.path;
  }

  get peer(): string {
    return this.wire.peer;
  }

  get cancelled(): boolean {
    return this.end !== undefined && this.end !== 'ok';
  }

  get signal(): AbortSignal {
    if (this.abort === undefined) {
      this.abort = new AbortController();
      if (this.end instanceof GrpcStatusError) this.abort.abort(this.end);
    }
    return this.abort.signal;
  }

  setHeader(name: string, value: MetadataValue): void {
    const key = checkMetadataPair(name, value);
    if (this.end !== undefined) {
      throw new GrpcError('METADATA_INVALID', `header "${key}" comes after the first message`);
    }
    (this.headers ??= []).push([key, value]);
  }

  setTrailer(name: string, value: MetadataValue): void {
    (this.trailers ??= []).push([checkMetadataPair(name, value), value]);
  }

  run(handle: UnaryHandler, request: Buffer): void {
    const { host } = this;
    host.onBegin();
    if (host.unaryObservers.length > 0) this.observeStart();
    if (this.deadline !== undefined && this.deadline <= Date.now()) {
      this.fail(new GrpcStatusError(status.DEADLINE_EXCEEDED, DEADLINE_TEXT));
      host.onDone();
      return;
    }
    let result: MessageBytes | Promise<MessageBytes>;
    try {
      result = handle(request, this);
    } catch (error) {
      this.fail(error);
      host.onDone();
      return;
    }
    if (!(result instanceof Promise)) {
      this.succeed(result);
      host.onDone();
      return;
    }
    if (this.deadline !== undefined) this.armDeadline(this.deadline);
    result.then(this.onAnswer, this.onError);
  }

  /** The client has gone or has given up. */
  cancel(): void {
    this.finish(new GrpcStatusError(status.CANCELLED, 'context canceled'), false);
  }

  private readonly onAnswer = (message: MessageBytes): void => {
    if (this.end === undefined) this.succeed(message);
    this.host.onDone();
  };

  private readonly onError = (error: unknown): void => {
    this.fail(error);
    this.host.onDone();
  };

  private armDeadline(deadline: number): void {
    const leftMs = deadline - Date.now();
    if (leftMs <= 0) {
      this.fail(new GrpcStatusError(status.DEADLINE_EXCEEDED, DEADLINE_TEXT));
      return;
    }
    this.timer = setTimeout(() => this.armDeadline(deadline), Math.min(leftMs, TIMER_MS_MAX));
  }

  private succeed(message: MessageBytes): void {
    if (!(message instanceof Uint8Array)) {
      return this.fail(new TypeError('a handler answered something that is not bytes'));
    }
    this.end = 'ok';
    if (this.timer !== undefined) clearTimeout(this.timer);
    this.wire.answer(this.headers ?? NO_PAIRS, message, this.trailers ?? NO_PAIRS);
    if (this.host.unaryObservers.length > 0) this.observeEnd(status.OK);
  }

  private fail(thrown: unknown): void {
    const error = toStatusError(thrown);
    if (error !== thrown) {
      const fields = { err: thrown, method: this.path, peer: this.peer };
      if (this.end === undefined) this.host.logger.error(fields, 'a handler failed');
      else if (!(thrown instanceof Error && thrown.name === 'AbortError')) {
        this.host.logger.warn(fields, 'a handler failed after its call had ended');
      }
    }
    this.finish(error, true);
  }

  private finish(error: GrpcStatusError, tell: boolean): void {
    if (this.end !== undefined) return;
    this.end = error;
    if (this.timer !== undefined) clearTimeout(this.timer);
    if (tell) {
      this.wire.refuse(
        this.headers ?? NO_PAIRS,
        error.code,
        error.message,
        this.allTrailers(error),
      );
    }
    this.abort?.abort(error);
    if (this.host.unaryObservers.length > 0) this.observeEnd(error.code);
  }

  private allTrailers(error: GrpcStatusError): MetadataPairs {
    const trailers = this.trailers ?? NO_PAIRS;
    if (error.metadata === undefined) return trailers;
    try {
      return [...trailers, ...metadataPairs(error.metadata)];
    } catch (invalid) {
      const fields = { err: invalid, method: this.path };
      this.host.logger.error(fields, 'an error cannot be sent whole');
      return trailers;
    }
  }

  private observeStart(): void {
    this.startedMs = performance.now();
    for (const observer of this.host.unaryObservers) {
      this.guarded(() => observer.started(this.method.info));
    }
  }

  private observeEnd(code: StatusCode): void {
    const durationMs = performance.now() - this.startedMs;
    const answered = this.end === 'ok';
    for (const observer of this.host.unaryObservers) {
      this.guarded(() => observer.ended(this.method.info, code, answered, durationMs));
    }
  }

  private guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.host.logger.error({ err: error, method: this.path }, 'a call observer failed');
    }
  }
}

const DEADLINE_TEXT = 'context deadline exceeded';
