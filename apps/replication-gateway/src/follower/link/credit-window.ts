/**
 * How many bytes of commands the leader cluster may send ahead of what was applied: the bound of
 * what all tables of a gateway together hold in memory.
 *
 * In: bytes that came, bytes that are done with. Out: credit to give back, in portions. Pure.
 */

/** For all tables of a gateway together. */
export const CREDIT_BYTES = 16 * 1024 * 1024;
/** Portions of credit; whoever waits for a command with all of it done has the rest at least. */
const PORTIONS = 16;

/** Tables that may hold what they do not apply before there is nothing left for others. */
const SHARES = 4;

/** More came than was allowed: whoever sends like that cannot be bounded. */
export class CreditExceededError extends Error {
  override readonly name = 'CreditExceededError';
}

export class CreditWindow {
  private held = 0;
  /** Done with, and not given back yet. */
  private due = 0;

  constructor(
    readonly bytesMax: number,
    /** Beyond the window a leader cluster may finish the message that it is in. */
    private readonly messageBytesMax: number,
  ) {}

  /** What one table may hold for long. */
  get shareBytes(): number {
    return this.bytesMax / SHARES;
  }

  /** In memory now. */
  get heldBytes(): number {
    return this.held;
  }

  /** Throws CreditExceededError. */
  received(bytes: number): void {
    this.held += bytes;
    if (this.held + this.due <= this.bytesMax + this.messageBytesMax) return;
    throw new CreditExceededError(`${this.held} bytes came, ${this.bytesMax} were allowed`);
  }

  /** Credit that is to be given back now; 0 while it is not worth a message. */
  done(bytes: number): number {
    this.held -= bytes;
    this.due += bytes;
    if (this.due * PORTIONS < this.bytesMax) return 0;
    const { due } = this;
    this.due = 0;
    return due;
  }
}
