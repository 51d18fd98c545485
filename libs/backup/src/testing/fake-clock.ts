/** A clock whose hands a test turns; what waits goes on at once. */
import { RUN_SIGN_MS } from '../bounds.js';
import { type BackupClock } from '../clock.js';

export class FakeBackupClock implements BackupClock {
  nowMs = Date.UTC(2026, 0, 1);
  private made = 0;

  wallMs(): number {
    return this.nowMs;
  }

  async sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    if (delayMs < RUN_SIGN_MS) return;
    // Long waits are those of signs of life: only the end of the run ends them.
    await new Promise<void>((resolve) => {
      if (signal?.aborted === true) resolve();
      signal?.addEventListener('abort', () => resolve());
    });
  }

  unique(bytes: number): Buffer {
    const out = Buffer.alloc(bytes);
    out.writeUInt32BE(++this.made);
    return out;
  }
}
