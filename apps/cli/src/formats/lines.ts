/**
 * Cuts a stream of bytes into lines, with bounded memory.
 *
 * In: chunks. Out: for each chunk the lines that ended in it, numbered. A line that is longer than
 * the bound comes out as its number alone, and its bytes are dropped as they arrive.
 */
/** A value of 2 MiB in which every byte is escaped, and its key, fit into this. */
export const LINE_BYTES_MAX = 16 * 1024 * 1024;

export interface Line {
  readonly number: number;
  /** Without its line break; undefined if it was too long. */
  readonly bytes: Buffer | undefined;
}

const NEWLINE = 0x0a;
const RETURN = 0x0d;

export async function* splitLines(
  chunks: AsyncIterable<Buffer>,
  onBytes: (bytes: number) => void = () => undefined,
): AsyncIterable<readonly Line[]> {
  const splitter = new LineSplitter();
  for await (const chunk of chunks) {
    onBytes(chunk.length);
    yield splitter.push(chunk);
  }
  yield splitter.end();
}

class LineSplitter {
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  private number = 0;

  push(chunk: Buffer): Line[] {
    const lines: Line[] = [];
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.keep(chunk.subarray(from, at));
      lines.push(this.take());
      from = at + 1;
    }
    // The rest is copied: a view would keep its whole chunk alive.
    if (from < chunk.length) this.keep(Buffer.from(chunk.subarray(from)));
    return lines;
  }

  end(): Line[] {
    return this.pendingBytes > 0 ? [this.take()] : [];
  }

  private keep(part: Buffer): void {
    this.pendingBytes += part.length;
    if (this.pendingBytes > LINE_BYTES_MAX) this.pending = [];
    else this.pending.push(part);
  }

  private take(): Line {
    const tooLong = this.pendingBytes > LINE_BYTES_MAX;
    const [only, ...more] = this.pending;
    const whole = more.length === 0 ? (only ?? Buffer.alloc(0)) : Buffer.concat(this.pending);
    this.pending = [];
    this.pendingBytes = 0;
    this.number++;
    return { number: this.number, bytes: tooLong ? undefined : withoutReturn(whole) };
  }
}

function withoutReturn(line: Buffer): Buffer {
  return line.at(-1) === RETURN ? line.subarray(0, -1) : line;
}
