/** A progress bar on standard error, where that is a terminal. */
import { SingleBar } from 'cli-progress';

export class Progress {
  private readonly bar: SingleBar | undefined;
  private read = 0;

  /** `totalBytes` undefined: only counts are shown. */
  constructor(totalBytes: number | undefined, verb: string) {
    if (!process.stderr.isTTY) return;
    const format =
      totalBytes === undefined
        ? `${verb} {keys} keys, {megabytes} MB`
        : `${verb} [{bar}] {percentage}% | {keys} keys, {megabytes} MB`;
    this.bar = new SingleBar({
      format,
      stream: process.stderr,
      hideCursor: true,
      clearOnComplete: true,
    });
    this.bar.start(totalBytes ?? 1, 0, { keys: 0, megabytes: '0.0' });
  }

  /** Bytes of input that were read. */
  addRead(bytes: number): void {
    this.read += bytes;
  }

  update(keys: number, bytes: number): void {
    this.bar?.update(this.read, { keys, megabytes: (bytes / 1e6).toFixed(1) });
  }

  /** Makes room for a line of text. */
  stop(): void {
    this.bar?.stop();
  }
}

/** `60123 keys, 71.2 MB in 4.1 s (14664 keys/s, 17.4 MB/s)`. */
export function summarize(keys: number, bytes: number, ms: number): string {
  const seconds = Math.max(ms, 1) / 1000;
  const megabytes = bytes / 1e6;
  return (
    `${keys} keys, ${megabytes.toFixed(1)} MB in ${seconds.toFixed(1)} s ` +
    `(${Math.round(keys / seconds)} keys/s, ${(megabytes / seconds).toFixed(1)} MB/s)`
  );
}
