/**
 * Calls to the nodes of the own cluster: any node does for any call.
 *
 * In: a message. Out: the answer of whichever node gave one. What may be done twice is tried at
 * another node when one does not answer; anything else only if it certainly was not executed, else
 * its caller is left in doubt and has to ask.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type GatewayClock } from '../gateway-clock.js';
import { wasNotExecuted } from '../nodes/node-error.js';
import { type NodePool } from '../nodes/node-pool.js';

const ATTEMPTS_MAX = 6;

export interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

/** Of a request and of its answer. */
export type CallCodecs<Q, A> = readonly [Pick<Codec<Q>, 'encode'>, Pick<Codec<A>, 'decode'>];

export interface CallRules {
  /** Of the whole call, and of one node's part of it where others may be asked. */
  readonly deadlineMs: number;
  readonly attemptMs: number;
  /** Nothing is lost if it is done twice. */
  readonly isRepeatable: boolean;
  readonly signal?: AbortSignal;
}

export class NodeCalls {
  constructor(
    private readonly pool: NodePool,
    private readonly clock: Pick<GatewayClock, 'nowMs'>,
  ) {}

  /** `path` is `/pkg.Service/Method`. */
  async call<Q, A>(
    path: string,
    [request, response]: CallCodecs<Q, A>,
    message: NoInfer<Q>,
    { deadlineMs, attemptMs, isRepeatable, signal }: CallRules,
  ): Promise<A> {
    const bytes = request.encode(message).finish();
    const endMs = this.clock.nowMs() + deadlineMs;
    let last: unknown = new GrpcStatusError(status.UNAVAILABLE, 'no node is known');
    for (const way of this.pool.ways().slice(0, ATTEMPTS_MAX)) {
      const leftMs = Math.ceil(endMs - this.clock.nowMs());
      if (leftMs <= 0) break;
      try {
        const answer = await way.client.unary(path, bytes, {
          deadlineMs: Math.min(leftMs, attemptMs),
          metadata: this.pool.credentials,
          ...(signal && { signal }),
        });
        this.pool.worked(way);
        return response.decode(answer);
      } catch (error) {
        last = error;
        const isLost = mayHelpElsewhere(error);
        if (isLost) this.pool.failed(way);
        if (!(isLost && isRepeatable) && !wasNotExecuted(error)) throw error;
      }
    }
    throw last;
  }
}

/**
 * Throws for what a newer node may answer: it is better not understood than taken for something.
 */
export function known<T>(outcomes: readonly T[], number: number): T {
  const outcome = outcomes[number];
  if (outcome !== undefined) return outcome;
  throw new GrpcStatusError(status.INTERNAL, `outcome ${number} is not known`);
}

function mayHelpElsewhere(error: unknown): boolean {
  if (!(error instanceof GrpcStatusError)) return false;
  return error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED;
}
