/**
 * Reads everything of a backup again, and tells all that is wrong with it.
 *
 * In: a chain of manifests, and all there are. Out: problems, each with its object, and how much was read: the
 * chain, and the logs that go on from it. A damaged object does not end the search; nothing is changed.
 */
import { isBackupError } from '../backup-error.js';
import { type KeyRing } from '../format/key-ring.js';
import { type Manifest, type ManifestTable } from '../format/manifest.js';
import { type BackupObjects } from '../objects/backup-objects.js';
import { LogCatalog } from '../log/log-catalog.js';
import { verifyLogs } from '../log/verify-logs.js';
import { readersOf } from './chain-reader.js';
import { caught, Findings, type Problem } from './findings.js';
import { TableReader } from './table-reader.js';

export interface VerifyReport {
  readonly problems: readonly Problem[];
  readonly problemCount: number;
  readonly rows: number;
  /** Pieces of logs too. */
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
  /** All good backups: logs that nobody goes on from are read with any of them. */
  good: readonly Manifest[] = chain,
): Promise<VerifyReport> {
  const verifier = new Verifier(parts);
  for (const manifest of chain) {
    for (const table of manifest.tables) await verifier.table(manifest, table);
  }
  const newest = chain.at(-1);
  for (const table of newest?.tables ?? []) verifier.links(chain, table);
  if (newest) await verifier.logs(newest, good);
  return verifier.report();
}

class Verifier {
  private readonly findings = new Findings();
  private rows = 0;
  private chunks = 0;
  private plainBytes = 0;

  constructor(private readonly parts: VerifyParts) {}

  report(): VerifyReport {
    const { rows, chunks, plainBytes } = this;
    const { problems, problemCount } = this.findings;
    return { problems, problemCount, rows, chunks, plainBytes };
  }

  async table(manifest: Manifest, table: ManifestTable): Promise<void> {
    const { objects, keys, signal, onTable } = this.parts;
    const note = (error: unknown) => this.findings.note(error, manifest.id, table.name);
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
      this.findings.note(error, chain.at(-1)?.id ?? '', table.name);
    }
  }

  async logs(newest: Manifest, good: readonly Manifest[]): Promise<void> {
    const { objects, keys, signal, onTable } = this.parts;
    const logs = new LogCatalog(objects, keys);
    await verifyLogs({ logs, findings: this.findings, signal }, newest, good, (table, read) => {
      this.plainBytes += read.plainBytes;
      this.chunks++;
      onTable(newest.id, table, read.pieces);
    });
  }
}
