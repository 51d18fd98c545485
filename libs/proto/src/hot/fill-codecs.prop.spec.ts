import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytes, count } from '../../test/messages.js';
import { hot, mvccV1, shadowV1 } from '../index.js';

const RUNS = { numRuns: 100 };
const { Command, Command_CommandType } = mvccV1;
const { FillShadowRequest } = shadowV1;
const { PUT, SEQUENCE } = Command_CommandType;

const row = fc.record(
  { key: bytes, value: bytes, createRevision: count, modRevision: count, version: count },
  { noNullPrototype: true },
);
const NO_KEY = Buffer.alloc(0);
const put = Command.fromPartial({ type: PUT, leaderIndex: 7n });
const request = fc.record(
  {
    ...{ tableId: count, token: count, batch: count, note: bytes },
    rows: fc.array(row, { maxLength: 6 }),
    commands: fc.array(bytes, { maxLength: 3 }),
  },
  { noNullPrototype: true },
);
type Request = hot.FillRequestFields;

const big = ({ rows, ...fields }: Pick<Request, 'rows' | 'token' | 'batch' | 'note'>) => ({
  token: BigInt(fields.token),
  batch: BigInt(fields.batch),
  note: Buffer.from(fields.note),
  rows: rows.map(({ key, value, createRevision, modRevision, version }) => ({
    key: Buffer.from(key),
    value: Buffer.from(value),
    createRevision: BigInt(createRevision),
    modRevision: BigInt(modRevision),
    version: BigInt(version),
  })),
});
const onWire = (given: Request): shadowV1.FillShadowRequest => ({
  ...big(given),
  tableId: BigInt(given.tableId),
  commands: given.commands.map((each) => Buffer.from(each)),
});
const commandOf = (fill: mvccV1.Fill) => ({ ...Command.fromPartial({ type: SEQUENCE }), fill });
const encoded = (command: mvccV1.Command) => Buffer.from(Command.encode(command).finish());
const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');
const outcome = (read: () => unknown) => {
  try {
    return { message: read() };
  } catch {
    return 'refused';
  }
};

/** A request read, its rows by the generated reader once they are a command's, and what was seen of them. */
function received(bytes: Buffer): unknown {
  const seen: hot.FillRowFigures[] = [];
  const read = hot.decodeFillRequest(bytes, (row, at) => {
    // The slow reader begins anew.
    if (at === 0) seen.length = 0;
    expect(at).toBe(seen.length);
    seen.push({ ...row });
  });
  expect(read.rows.count).toBe(seen.length);
  const command = hot.encodeFillCommand({ ...read, commands: [] });
  const rows = Command.decode(command).fill?.rows;
  return { seen, message: { ...read, rows } };
}

function receivedByGenerated(bytes: Buffer): unknown {
  const message = FillShadowRequest.decode(bytes);
  const seen = message.rows.map(({ key, createRevision, modRevision, version }) => ({
    keyBytes: key.length,
    ...{ createRevision: Number(createRevision), modRevision: Number(modRevision) },
    version: Number(version),
  }));
  return { seen, message };
}

const inNumbers = ({ rows, ...fields }: mvccV1.Fill): hot.ReceivedBatch => ({
  ...fields,
  rows: rows.map(({ key, value, createRevision, modRevision, version }) => ({
    ...{ key, value, version: Number(version) },
    ...{ createRevision: Number(createRevision), modRevision: Number(modRevision) },
  })),
});

/** Something of a message, with one byte of it changed and its end cut off. */
const harm = fc.record({ given: request, at: fc.nat(), byte: fc.nat(255), cut: fc.nat(40) });
type Harm = Pick<typeof harm extends fc.Arbitrary<infer T> ? T : never, 'at' | 'byte' | 'cut'>;
function harmed(whole: Buffer, { at, byte, cut }: Harm): Buffer {
  const mangled = Buffer.from(whole);
  if (mangled.length > 0) mangled[at % mangled.length] = byte;
  return mangled.subarray(0, Math.max(0, mangled.length - cut));
}

describe('the hot codecs of a batch that fills a table', () => {
  it('make and read a request as the generated ones do', () => {
    fc.assert(
      fc.property(request, (given) => {
        const made = hot.encodeFillRequest(given);
        expect(hex(made)).toBe(hex(FillShadowRequest.encode(onWire(given)).finish()));
        expect(received(made)).toEqual(receivedByGenerated(made));
      }),
      RUNS,
    );
  });

  it('read a request of any bytes as the generated one does, or refuse it as that does', () => {
    fc.assert(
      fc.property(harm, ({ given, ...how }) => {
        const some = harmed(hot.encodeFillRequest(given), how);
        const generated = outcome(() => receivedByGenerated(some));
        expect(outcome(() => received(some))).toEqual(generated);
      }),
      { numRuns: 400 },
    );
  });

  it('read rows that are not all in one place, and those with fields that nobody knows', () => {
    const one = (key: string, more: number[] = []) => {
      const content = Buffer.from([0x0a, key.length, ...Buffer.from(key), 0x20, 5, ...more]);
      return Buffer.from([0x22, content.length, ...content]);
    };
    const note = Buffer.from([0x2a, 1, 0x6e]);
    for (const parts of [
      [one('a'), note, one('b')],
      [one('a', [0x78, 1]), one('b')],
      [one('a'), Buffer.from([0x78, 1]), one('b', [0x20, 6])],
    ]) {
      const bytes = Buffer.concat(parts);
      expect(received(bytes)).toEqual(receivedByGenerated(bytes));
      expect(receivedByGenerated(bytes)).toMatchObject({
        seen: [{ keyBytes: 1 }, { keyBytes: 1 }],
      });
    }
  });

  it('show numbers that are too large as larger than what is exact', () => {
    const rows = [{ key: NO_KEY, value: NO_KEY, createRevision: 1n, modRevision: 2n ** 63n }];
    const bytes = FillShadowRequest.encode(
      FillShadowRequest.fromPartial({ rows: rows.map((each) => ({ ...each, version: 1n })) }),
    ).finish();
    expect(received(Buffer.from(bytes))).toMatchObject({ seen: [{ modRevision: 2 ** 63 }] });
  });

  it('tell what whoever looks at the rows throws, and show no row behind that one', () => {
    const rows = [1, 2, 3].map((nth) => ({
      ...{ key: Buffer.from([nth]), value: NO_KEY, createRevision: nth, modRevision: nth },
      version: 1,
    }));
    const fields = { tableId: 1, token: 1, batch: 1, note: NO_KEY, commands: [] };
    const bytes = hot.encodeFillRequest({ ...fields, rows });
    let last = 0;
    const look: hot.RowLook = ({ modRevision }, at) => {
      last = at;
      if (modRevision === 2) throw new Error('the second row is wrong');
    };
    expect(() => hot.decodeFillRequest(bytes, look)).toThrow('the second row is wrong');
    expect(last).toBe(1);
  });

  it('make and read a command as the generated ones do', () => {
    fc.assert(
      fc.property(request, fc.boolean(), (given, hasCommands) => {
        const fill = { ...big(given), commands: hasCommands ? [put] : [] };
        const { rows } = hot.decodeFillRequest(hot.encodeFillRequest(given), () => undefined);
        const made = hot.encodeFillCommand({ ...fill, rows });
        expect(hex(made)).toBe(hex(encoded(commandOf(fill))));
        expect(hot.decodeFillCommand(made)).toEqual(inNumbers(fill));
      }),
      RUNS,
    );
  });

  it('read no other command, and none that is cut or mangled otherwise than the generated one', () => {
    const fill = { token: 1n, batch: 2n, rows: [], note: Buffer.from('note'), commands: [] };
    expect(hot.decodeFillCommand(encoded(put))).toBeUndefined();
    expect(hot.decodeFillCommand(encoded(Command.fromPartial({ type: SEQUENCE })))).toBeUndefined();
    const fenced = { ...commandOf(fill), adoption: mvccV1.Adoption.fromPartial({ revision: 5n }) };
    expect(hot.decodeFillCommand(encoded(fenced))).toBeUndefined();
    fc.assert(
      fc.property(harm, fc.boolean(), ({ given, ...how }, hasCommands) => {
        const whole = commandOf({ ...big(given), commands: hasCommands ? [put] : [] });
        const some = harmed(encoded(whole), how);
        const read = hot.decodeFillCommand(some);
        if (!read) return;
        const generated = Command.decode(some);
        expect(generated.fill && inNumbers(generated.fill)).toEqual(read);
        expect(generated).toEqual({ ...commandOf(fill), fill: generated.fill });
      }),
      { numRuns: 400 },
    );
  });
});
