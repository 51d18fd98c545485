/**
 * What the observers of a server are told of one call.
 *
 * In: the beginning, each message, the end. Out: one outcome to each observer that asked for it.
 *
 * Must never let an observer harm the call: what it throws is logged. Only made when there is one.
 */
import { status, type GrpcStatusError } from '../status.js';
import {
  type CallContext,
  type CallObserver,
  type CallOutcome,
  type GrpcLogger,
  type MethodInfo,
} from '../transport.js';

export interface CallWatch {
  received(): void;
  sent(): void;
  finish(error: GrpcStatusError | undefined, cause: unknown): void;
}

export function watchCall(
  observers: readonly CallObserver[],
  logger: GrpcLogger,
  method: MethodInfo,
  call: CallContext,
): CallWatch {
  const startedMs = performance.now();
  const finishers: ((outcome: CallOutcome) => void)[] = [];
  let messagesIn = 0;
  let messagesOut = 0;
  const guarded = (step: () => void): void => {
    try {
      step();
    } catch (error) {
      logger.error({ err: error, method: method.path }, 'a call observer failed');
    }
  };
  for (const observer of observers) {
    guarded(() => {
      const finisher = observer.onCall(method, call);
      if (finisher !== undefined) {
        finishers.push(finisher);
      }
    });
  }
  return {
    received: () => (messagesIn += 1),
    sent: () => (messagesOut += 1),
    finish(error, cause) {
      const outcome: CallOutcome = {
        code: error?.code ?? status.OK,
        messagesIn,
        messagesOut,
        durationMs: performance.now() - startedMs,
        error,
        cause,
      };
      for (const finisher of finishers) {
        guarded(() => finisher(outcome));
      }
    },
  };
}
