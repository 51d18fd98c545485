/**
 * Bytes as only a hostile or a newer client sends them, as fast-check makes them.
 *
 * Out: messages of a shape with their fields in any order and number, in the wrong wire type, with
 * fields that nobody knows (groups too), and with numbers longer than they need be; and cut, flipped
 * and spliced versions of any bytes.
 */
import fc from 'fast-check';

/** Field numbers of a message: what they hold. */
export interface Shape {
  readonly [field: string]: 'varint' | 'bytes' | Shape;
}

const FIELD_MAX = 2 ** 29 - 1;

function varint(value: bigint, padding: number): Buffer {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, value);
  do {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  } while (rest > 0n);
  for (let left = Math.min(padding, 10 - out.length); left > 0; left--) out.push(0x80);
  out.push((out.pop() ?? 0) & 0x7f);
  return Buffer.from(out);
}

/** Seldom longer than it need be: such numbers break most of what follows. */
const padding = fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.nat(9));

const number: fc.Arbitrary<Buffer> = fc
  .tuple(
    fc.oneof(
      fc.bigInt({ min: 0n, max: 300n }),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.constantFrom(0n, 1n, 2n ** 32n, 2n ** 32n - 1n, 2n ** 53n, -1n, -(2n ** 63n)),
    ),
    padding,
  )
  .map(([value, pad]) => varint(value, pad));

const content = fc.uint8Array({ maxLength: 40 }).map((each) => Buffer.from(each));

const delimited = (inner: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> =>
  fc
    .tuple(inner, padding)
    .map(([data, pad]) => Buffer.concat([varint(BigInt(data.length), pad), data]));

function tag(field: number, wireType: number): Buffer {
  return varint(BigInt(field * 8 + wireType), 0);
}

const { unknown } = fc.letrec<{ unknown: Buffer; group: Buffer }>((tie) => ({
  group: fc
    .tuple(fc.nat(20), fc.array(tie('unknown'), { maxLength: 3 }), fc.nat(20))
    .map(([field, inner, other]) =>
      // Now and then a group ends with the number of another.
      Buffer.concat([tag(field, 3), ...inner, tag(other === 0 ? field + 1 : field, 4)]),
    ),
  unknown: fc.oneof(
    { depthSize: 'small' },
    fieldOf(0, number),
    fieldOf(1, fc.constant(Buffer.alloc(8, 0xff))),
    fieldOf(2, delimited(content)),
    fieldOf(5, fc.constant(Buffer.alloc(4, 0xff))),
    tie('group'),
  ),
}));

/** Known numbers in a type they do not have, numbers nobody has, and 0, which is none. */
function fieldOf(wireType: number, value: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const field = fc.oneof(fc.nat(12), fc.constantFrom(64, 65, 1000, FIELD_MAX));
  return fc.tuple(field, value).map(([each, data]) => Buffer.concat([tag(each, wireType), data]));
}

function known(field: number, holds: Shape[string]): fc.Arbitrary<Buffer> {
  if (holds === 'varint') return number.map((data) => Buffer.concat([tag(field, 0), data]));
  const inner = holds === 'bytes' ? content : message(holds);
  return delimited(inner).map((data) => Buffer.concat([tag(field, 2), data]));
}

/** A message of a shape: nothing says that each field is there once, or in order. */
export function message(shape: Shape): fc.Arbitrary<Buffer> {
  const fields = Object.entries(shape).map(([field, holds]) => known(Number(field), holds));
  return fc
    .array(
      fc.oneof(...fields.map((arbitrary) => ({ weight: 4, arbitrary })), {
        weight: 4,
        arbitrary: unknown,
      }),
      { maxLength: 8 },
    )
    .map((parts) => Buffer.concat(parts));
}

/** Bytes put in, taken out, or changed; and the end cut off. */
export function damaged(whole: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const where = fc.nat(10_000);
  const change = fc.tuple(
    fc.constantFrom('flip', 'cut', 'remove', 'insert'),
    where,
    fc.oneof(fc.nat(255), fc.constantFrom(0x80, 0xff, 0x7f, 0x0b, 0x0c)),
  );
  return fc
    .tuple(whole, fc.array(change, { minLength: 1, maxLength: 3 }))
    .map(([data, changes]) => {
      let out = data;
      for (const [kind, at, byte] of changes) {
        const position = at % (out.length + 1);
        const [head, tail] = [out.subarray(0, position), out.subarray(position)];
        if (kind === 'cut') out = head;
        else if (kind === 'remove') out = Buffer.concat([head, tail.subarray(1)]);
        else if (kind === 'insert') out = Buffer.concat([head, Buffer.from([byte]), tail]);
        else out = Buffer.concat([head, Buffer.from([byte]), tail.subarray(1)]);
      }
      return out;
    });
}
