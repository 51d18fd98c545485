/** Versions of all kinds and sizes, and rows of the engine that nobody may take for one. */
import fc from 'fast-check';
import { encodeVersion, FORMAT, Version } from '../table/row-codec.js';

const number = fc.oneof(
  fc.constantFrom(0, 1, 127, 128, 2 ** 31, 2 ** 32, 2 ** 49 - 1, 2 ** 49, 2 ** 53 - 1),
  fc.maxSafeNat(),
);

/** Keys and values. */
export const storedData = fc.oneof(
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: 200 }).map((any) => Buffer.from(any)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(120, 16_300, 70_000, 2_097_152).map((size) => Buffer.alloc(size, 7)),
  },
);

export const storedVersion = fc
  .record({
    ...{ key: storedData, value: storedData, create: number, mod: number, version: number },
    ...{ lease: number, epoch: number },
  })
  .map((row) => {
    const { key, value, create, mod, version, lease, epoch } = row;
    return new Version(key, value, create, mod, version, lease, epoch);
  });

/** The stored row cut anywhere before its value, of another format, and with numbers that are too large. */
export function damagedRows(row: Version, cut: number): Buffer[] {
  const stored = encodeVersion(row);
  const headBytes = stored.length - row.value.length;
  const tooLarge = (...last: number[]) =>
    Buffer.concat([
      Buffer.of(FORMAT, 255, 255, 255, 255, 255, 255, 255, ...last),
      stored.subarray(2),
    ]);
  return [
    stored.subarray(0, cut % headBytes),
    Buffer.concat([Buffer.of(FORMAT - 1), stored.subarray(1)]),
    tooLarge(16),
    tooLarge(255),
  ];
}
