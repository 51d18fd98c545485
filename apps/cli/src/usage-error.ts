/** A command was called the wrong way: exit code 2, unlike a command that failed (1). */
export class UsageError extends Error {
  readonly code = 'usage';
  readonly retryable = false;

  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
