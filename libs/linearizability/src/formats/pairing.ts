/**
 * Calls and their ends, read one after the other from a log, as operations.
 *
 * In: events in the order of the log. Out: operations whose times are places in the log. An operation
 * whose end is missing, or says that nothing is known, is one of unknown outcome. A process that
 * calls before its last call has ended is a defect of the log, and must never be guessed about.
 */
import { HistoryError, type Operation } from '../checker/operation.js';

interface Call<I> {
  readonly input: I;
  readonly at: number;
}

export class Pairing<I, O> {
  private readonly open = new Map<number, Call<I>>();
  private readonly closed: Operation<I, O>[] = [];
  private at = 0;

  /** `unknown` is the output of an operation of unknown outcome. */
  constructor(private readonly unknown: O) {}

  call(process: number, input: I): void {
    if (this.open.has(process)) {
      throw new HistoryError(`process ${process} calls before its last call has ended`);
    }
    this.open.set(process, { input, at: this.at++ });
  }

  /** It happened, with this output. */
  ok(process: number, outputOf: (input: I) => O): void {
    const { input, at } = this.take(process);
    const output = outputOf(input);
    this.closed.push({ client: process, input, output, call: at, return: this.at++ });
  }

  /** It certainly did not happen, or tells nothing. */
  dropped(process: number): void {
    this.take(process);
  }

  /** It may have happened, or may yet. */
  lost(process: number): void {
    this.closed.push(this.endless(process, this.take(process)));
  }

  operations(): Operation<I, O>[] {
    const rest = [...this.open].map(([process, call]) => this.endless(process, call));
    return [...this.closed, ...rest].sort((one, other) => one.call - other.call);
  }

  private endless(process: number, { input, at }: Call<I>): Operation<I, O> {
    return { client: process, input, output: this.unknown, call: at, return: Infinity };
  }

  private take(process: number): Call<I> {
    const call = this.open.get(process);
    if (call === undefined) throw new HistoryError(`process ${process} ends a call it never made`);
    this.open.delete(process);
    return call;
  }
}

/** Calls `line` for each line that is not blank; what it throws gets the number of the line. */
export function eachLine(text: string, line: (content: string) => void): void {
  text.split('\n').forEach((content, at) => {
    if (content.trim() === '') return;
    try {
      line(content.trim());
    } catch (cause) {
      if (!(cause instanceof HistoryError)) throw cause;
      throw new HistoryError(`line ${at + 1}: ${cause.message}`, { cause });
    }
  });
}
