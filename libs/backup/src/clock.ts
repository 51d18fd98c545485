/** Time and chance, as backups have them: ports, so that tests can turn the hands. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleepUntil } from 'node:timers/promises';

export interface BackupClock {
  /** Milliseconds since the epoch. */
  wallMs(): number;
  /** Settles after a while, or at once when the signal is aborted. Never rejects. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** So many bytes that nobody else has. */
  unique(bytes: number): Buffer;
}

export const SYSTEM_BACKUP_CLOCK: BackupClock = {
  wallMs: () => Date.now(),
  sleep: (delayMs, signal) =>
    sleepUntil(delayMs, undefined, signal && { signal }).catch((error: unknown) => {
      if (!signal?.aborted) throw error;
    }),
  unique: (bytes) => randomBytes(bytes),
};
