/**
 * Standard output with back-pressure: whoever prints much waits until the reader has taken it.
 *
 * A reader that goes away (`| head`) ends the program without noise.
 */
import { once } from 'node:events';
import type { Writable } from 'node:stream';

export class Writer {
  constructor(private readonly stream: Writable) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }

  async write(...parts: readonly (string | Uint8Array)[]): Promise<void> {
    const chunk = Buffer.concat(
      parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)),
    );
    if (!this.stream.write(chunk)) await once(this.stream, 'drain');
  }

  async line(...parts: readonly (string | Uint8Array)[]): Promise<void> {
    await this.write(...parts, '\n');
  }
}
