/**
 * Durations as Go writes them (`50ms`, `1m30s`, `0`), because the settings files and flags of
 * Regatta do. In: text, out: milliseconds, and back. Signs are refused: no setting is negative.
 */
const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['ns', 1e-6],
  ['us', 1e-3],
  ['µs', 1e-3],
  ['μs', 1e-3],
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
]);

const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;

/** Returns milliseconds, or undefined where the text is not a duration. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  let totalMs = 0;
  let offset = 0;
  while (offset < text.length) {
    PART.lastIndex = offset;
    const match = PART.exec(text);
    const unitMs = UNIT_MS.get(match?.[2] ?? '');
    if (match === null || unitMs === undefined) return undefined;
    totalMs += Number(match[1]) * unitMs;
    offset = PART.lastIndex;
  }
  // Parts below a millisecond leave dust of binary fractions; a nanosecond is the finest unit.
  const rounded = Math.round(totalMs * 1e6) / 1e6;
  return offset > 0 && Number.isFinite(rounded) ? rounded : undefined;
}

/** The text Go prints for the same duration: `50ms`, `5s`, `1m30s`, `1h0m0s`. */
export function formatDuration(durationMs: number): string {
  if (durationMs === 0) return '0s';
  if (durationMs < 1e-3) return `${trim(durationMs * 1e6)}ns`;
  if (durationMs < 1) return `${trim(durationMs * 1e3)}µs`;
  if (durationMs < 1_000) return `${trim(durationMs)}ms`;
  const hours = Math.floor(durationMs / 3_600_000);
  const minutes = Math.floor((durationMs % 3_600_000) / 60_000);
  const seconds = `${trim((durationMs % 60_000) / 1_000)}s`;
  if (hours > 0) return `${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${minutes}m${seconds}` : seconds;
}

function trim(value: number): string {
  return String(Math.round(value * 1e9) / 1e9);
}
