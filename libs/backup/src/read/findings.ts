/**
 * What a verification has found so far.
 *
 * In: errors of what was read. Out: problems, the first of them told, all of them counted. What says nothing
 * about the stored objects, such as a store that cannot be reached, is thrown on.
 */
import { isBackupError } from '../backup-error.js';

/** More are only counted. */
export const PROBLEMS_MAX = 1_000;

export interface Problem {
  readonly backup: string;
  readonly table: string;
  /** Names the object, and the chunk where it is one. */
  readonly message: string;
}

export class Findings {
  readonly problems: Problem[] = [];
  problemCount = 0;

  note(error: unknown, backup: string, table: string): void {
    if (!isBackupError(error, 'BACKUP_DAMAGED', 'BACKUP_UNREADABLE')) throw error;
    this.add({ backup, table, message: error.message });
  }

  add(problem: Problem): void {
    this.problemCount++;
    if (this.problems.length < PROBLEMS_MAX) this.problems.push(problem);
  }
}

/** Goes on behind what is a finding. */
export async function caught(
  note: (error: unknown) => void,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    note(error);
  }
}

/** Undefined where a finding is in the way, which is told elsewhere. */
export async function readable<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!isBackupError(error)) throw error;
    return undefined;
  }
}
