/** What fails on its way is tried again, as a careful client of content that may be written twice does it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError } from '@flotilla/client';
import { GrpcStatusError, status } from '@flotilla/grpc';

const ATTEMPTS = 60;
const PAUSE_MS = 500;
const CODES: ReadonlySet<number> = new Set([status.UNAVAILABLE, status.DEADLINE_EXCEEDED]);
const NAMES: ReadonlySet<string> = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED']);

/** For half a minute at least; what is refused is thrown at once. */
export async function retried<T>(task: () => Promise<T>): Promise<T> {
  for (let left = ATTEMPTS; ; left--) {
    try {
      return await task();
    } catch (error) {
      if (left === 0 || !failedOnItsWay(error)) throw error;
    }
    await sleep(PAUSE_MS);
  }
}

function failedOnItsWay(error: unknown): boolean {
  if (error instanceof ClientError) return NAMES.has(error.code);
  return error instanceof GrpcStatusError && CODES.has(error.code);
}
