/**
 * How messages to attached gateways may be packed. In: the setting. Out: encodings in the order in which they are
 * offered; a gateway that knows none of them gets plain messages.
 */
export const COMPRESSIONS = ['zstd', 'snappy', 'none'] as const;

export type Compression = (typeof COMPRESSIONS)[number];

/** gzip is not among them: it costs the loop more than the bytes are worth. */
export function offeredEncodings(compression: Compression): readonly ('zstd' | 'snappy')[] {
  if (compression === 'none') return [];
  return compression === 'zstd' ? ['zstd', 'snappy'] : ['snappy', 'zstd'];
}
