/**
 * Reads everything of a backup again, and tells all that is wrong with it.
 *
 * In: a chain of manifests. Out: problems, each with its object, and how much was read. A damaged chunk
 * does not end the search; nothing is changed.
 */
import { type BackupError, isBackupError } from '../backup-error.js';
import { type KeyRing } from '../format/key-ring.js';
import { type Manifest, type ManifestTable } from '../format/manifest.js';
import { type BackupObjects } from '../objects/backup-objects.js';
import { readersOf } from './chain-reader.js';
import { TableReader } from './table-reader.js';

/** More are only counted. */
export const PROBLEMS_MAX = 1_000;

export interface Problem {
  readonly backup: string;
  readonly table: string;
  /** Names the object, and the chunk where it is one. */
  readonly message: string;
}

export interface VerifyReport {
  readonly problems: readonly Problem[];
  readonly problemCount: number;
  readonly rows: number;
  readonly chunks: number;
  readonly plainBytes: number;
}

export interface VerifyParts {
  readonly objects: BackupObjects;
  readonly keys: KeyRing;
  readonly signal: AbortSignal;
  readonly onTable: (backup: string, table: string, chunks: number) => void;
}

export async function verifyChain(
  parts: VerifyParts,
  chain: readonly Manifest[],
): Promise<VerifyReport> {
  const verifier = new Verifier(parts);
  for (const manifest of chain) {
    for (const table of manifest.tables) await verifier.table(manifest, table);
  }
  const newest = chain.at(-1);
  for (const table of newest?.tables ?? []) verifier.links(chain, table);
  return verifier.report();
}

class Verifier {
  private readonly problems: Problem[] = [];
  private problemCount = 0;
  private rows = 0;
  private chunks = 0;
  private plainBytes = 0;

  constructor(private readonly parts: VerifyParts) {}

  report(): VerifyReport {
    const { problems, problemCount, rows, chunks, plainBytes } = this;
    return { problems, problemCount, rows, chunks, plainBytes };
  }

  async table(manifest: Manifest, table: ManifestTable): Promise<void> {
    const { objects, keys, signal, onTable } = this.parts;
    const note = (error: unknown) => this.note(error, manifest.id, table.name);
    await caught(note, async () => {
      const reader = new TableReader(objects, manifest, table, keys);
      for await (const chunk of reader.entries(signal)) {
        await caught(note, async () => {
          const { entry } = await reader.read(chunk, signal);
          this.rows += entry.rows;
          this.plainBytes += entry.plainBytes;
        });
        this.chunks++;
        onTable(manifest.id, table.name, chunk.number);
      }
    });
  }

  /** Whether what the chain has of a table goes back to a full copy of it. */
  links(chain: readonly Manifest[], table: ManifestTable): void {
    const { objects, keys } = this.parts;
    try {
      readersOf(chain, table, objects, keys);
    } catch (error) {
      if (!isBackupError(error)) throw error;
      this.note(error, chain.at(-1)?.id ?? '', table.name);
    }
  }

  private note(error: unknown, backup: string, table: string): void {
    if (!isFinding(error)) throw error;
    this.problemCount++;
    if (this.problems.length < PROBLEMS_MAX) {
      this.problems.push({ backup, table, message: error.message });
    }
  }
}

async function caught(note: (error: unknown) => void, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    note(error);
  }
}

function isFinding(error: unknown): error is BackupError {
  return isBackupError(error, 'BACKUP_DAMAGED', 'BACKUP_UNREADABLE');
}
