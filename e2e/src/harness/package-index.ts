/**
 * Debian's package index as rows: a paragraph under the name of its package.
 *
 * Where this machine has no index (not Debian, or never updated), a made-up one of the same shape is
 * used, and said so.
 */
import { spawnSync } from 'node:child_process';

const OUTPUT_BYTES_MAX = 1024 * 1024 * 1024;
const MADE_UP_PACKAGES = 20_000;

export interface PackageIndex {
  readonly rows: ReadonlyMap<string, Buffer>;
  readonly isReal: boolean;
}

/** At most `packagesMax` packages, the first of the index; the last paragraph of a name counts. */
export function packageIndex(packagesMax = Infinity): PackageIndex {
  const run = spawnSync('apt-cache', ['dumpavail'], { maxBuffer: OUTPUT_BYTES_MAX });
  if (run.status === 0 && run.stdout.length > 1_000_000) {
    return { rows: paragraphs(run.stdout, packagesMax), isReal: true };
  }
  console.warn('SKIPPED: no Debian package index on this machine; a made-up one takes its place');
  return { rows: madeUp(Math.min(packagesMax, MADE_UP_PACKAGES)), isReal: false };
}

function paragraphs(index: Buffer, packagesMax: number): Map<string, Buffer> {
  const rows = new Map<string, Buffer>();
  for (let from = 0; from < index.length && rows.size < packagesMax;) {
    const blank = index.indexOf('\n\n', from);
    const end = blank < 0 ? index.length : blank + 1;
    const paragraph = index.subarray(from, end);
    const name = /^Package: (\S+)/m.exec(paragraph.toString('latin1'))?.[1];
    if (name !== undefined) rows.set(name, paragraph);
    from = end + 1;
  }
  return rows;
}

function madeUp(count: number): Map<string, Buffer> {
  const rows = new Map<string, Buffer>();
  for (let at = 0; at < count; at++) {
    const name = `lib${(at * 7919) % count}-dev`;
    const filler = 'Größe und Zweck, in einem Satz. '.repeat(1 + (at % 40));
    rows.set(name, Buffer.from(`Package: ${name}\nVersion: 1.${at}\nDescription: ${filler}\n`));
  }
  return rows;
}

/** The rows as JSON lines, in the order given. */
export function toJsonLines(rows: Iterable<readonly [string, Buffer]>): string {
  let text = '';
  for (const [key, value] of rows) text += `${JSON.stringify({ key, value: value.toString() })}\n`;
  return text;
}
