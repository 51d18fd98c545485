// What a codec costs: the hand-written ones beside the generated ones, in ns a message.
//
//   npx tsc -b libs/proto && node libs/proto/bench/codecs.bench.mjs [rounds]
//
// The two take turns in every round; the table has the median round of each, and their ratio, which
// is the figure to trust on a machine with neighbours.
import { hot, mvccV1, regattaV1 } from '../dist/index.js';

const ROUNDS = Number(process.argv[2] ?? 15);
const ROUND_MS = 20;
const BATCH = 200;

const bytes = (length) => Buffer.alloc(length, 0x61);
const table = Buffer.from('benchmark');
const key = bytes(33);
const value = bytes(100);
const row = (index) => ({
  key,
  value,
  createRevision: 90_000 + index,
  modRevision: 1_000_000 + index,
});
const wide = ({ createRevision, modRevision }) => ({
  key,
  createRevision: BigInt(createRevision),
  modRevision: BigInt(modRevision),
  value,
});
const page = (count) => ({
  kvs: Array.from({ length: count }, (_, i) => row(i)),
  more: false,
  count,
});
const fields = { shardId: 10_001, replicaId: 1, revision: 0, raftTerm: 3, raftLeaderId: 1 };
const header = Object.fromEntries(
  Object.entries(fields).map(([name, each]) => [name, BigInt(each)]),
);
const kept = hot.encodeHeader(fields);

const rangeRequest = { table, key, rangeEnd: bytes(0), limit: 0n, linearizable: true };
const range = regattaV1.RangeRequest.fromPartial(rangeRequest);
const put = { table, key, value, prevKv: false };
const large = { table, key, value: bytes(1024), prevKv: false };
const remove = { table, key, rangeEnd: key, prevKv: false, count: true };
const txn = regattaV1.TxnRequest.fromPartial({
  table,
  compare: [{ key, targetUnion: { $case: 'value', value } }],
  success: [
    { request: { $case: 'requestPut', value: { key, value } } },
    { request: { $case: 'requestRange', value: { key, limit: 10n } } },
  ],
  failure: [{ request: { $case: 'requestDeleteRange', value: { key } } }],
});
const results = [
  { response: { $case: 'responsePut', value: { prevKv: undefined } } },
  { response: { $case: 'responseRange', value: { kvs: [wide(row(1))], more: false, count: 1n } } },
];
const encode = (codec, message) => Buffer.from(codec.encode(message).finish());

/** What the node would make of a request for the generated codec. */
const command = (type, rest) =>
  mvccV1.Command.encode({
    table,
    type,
    kv: undefined,
    batch: [],
    prevKvs: false,
    sequence: [],
    count: false,
    ...rest,
  }).finish();
const pair = (data) => ({ key, createRevision: 0n, modRevision: 0n, value: data });
const { PUT, DELETE, TXN } = mvccV1.Command_CommandType;

const decoding = (name, codec, message, decode) => {
  const encoded = encode(codec, message);
  return { name, generated: () => codec.decode(encoded), hot: () => decode(encoded) };
};
const answering = (count) => {
  const given = page(count);
  return {
    name: `encode RangeResponse, ${count} x 133 B`,
    generated: () => {
      const { kvs, more } = given;
      const message = { header, kvs: kvs.map(wide), more, count: BigInt(given.count) };
      return regattaV1.RangeResponse.encode(message).finish();
    },
    hot: () => hot.encodeRangeResponse(fields, given),
  };
};

const CASES = [
  decoding('decode RangeRequest', regattaV1.RangeRequest, range, hot.decodeRangeRequest),
  decoding('decode PutRequest, 100 B', regattaV1.PutRequest, put, hot.decodePutRequest),
  decoding('decode PutRequest, 1 KiB', regattaV1.PutRequest, large, hot.decodePutRequest),
  decoding(
    'decode DeleteRangeRequest',
    regattaV1.DeleteRangeRequest,
    remove,
    hot.decodeDeleteRangeRequest,
  ),
  decoding('decode TxnRequest, 4 parts', regattaV1.TxnRequest, txn, hot.decodeTxnRequest),
  {
    name: 'encode PUT command, 100 B',
    generated: () => command(PUT, { kv: pair(value) }),
    hot: () => hot.encodePutCommand(put),
  },
  {
    name: 'encode PUT command, 1 KiB',
    generated: () => command(PUT, { kv: pair(large.value) }),
    hot: () => hot.encodePutCommand(large),
  },
  {
    name: 'encode DELETE command',
    generated: () => command(DELETE, { kv: pair(bytes(0)), rangeEnd: key, count: true }),
    hot: () => hot.encodeDeleteRangeCommand(remove),
  },
  {
    name: 'encode TXN command, 4 parts',
    generated: () => command(TXN, { txn }),
    hot: () => hot.encodeTxnCommand(txn),
  },
  answering(1),
  { ...answering(1), name: '  with a kept header', hot: () => hot.encodeRangeResponse(kept, ONE) },
  answering(100),
  answering(1000),
  {
    name: 'encode PutResponse',
    generated: () => regattaV1.PutResponse.encode({ header, prevKv: undefined }).finish(),
    hot: () => hot.encodePutResponse(fields, undefined),
  },
  {
    name: 'encode DeleteRangeResponse',
    generated: () =>
      regattaV1.DeleteRangeResponse.encode({ header, deleted: 3n, prevKvs: [] }).finish(),
    hot: () => hot.encodeDeleteRangeResponse(fields, 3n, []),
  },
  {
    name: 'encode TxnResponse, 2 parts',
    generated: () =>
      regattaV1.TxnResponse.encode({ header, succeeded: true, responses: results }).finish(),
    hot: () => hot.encodeTxnResponse(fields, true, results),
  },
];
const ONE = page(1);

let sink = 0;
/** CPU time of one call, in nanoseconds. */
function measure(run) {
  let calls = 0;
  const until = performance.now() + ROUND_MS;
  const from = process.cpuUsage();
  do {
    for (let i = 0; i < BATCH; i++) sink += run() === undefined ? 1 : 0;
    calls += BATCH;
  } while (performance.now() < until);
  const { user, system } = process.cpuUsage(from);
  return ((user + system) * 1000) / calls;
}

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
const times = CASES.map(() => ({ generated: [], hot: [] }));
for (let round = -3; round < ROUNDS; round++) {
  CASES.forEach((each, at) => {
    for (const kind of ['generated', 'hot']) {
      const ns = measure(each[kind]);
      if (round >= 0) times[at][kind].push(ns);
    }
  });
}
if (sink > 0) throw new Error('a codec gave nothing');
console.log('| ns CPU a message | generated | hot | ratio |\n|---|---|---|---|');
CASES.forEach(({ name }, at) => {
  const [generated, hotNs] = [median(times[at].generated), median(times[at].hot)];
  const ratio = (generated / hotNs).toFixed(1);
  console.log(`| ${name} | ${generated.toFixed(0)} | ${hotNs.toFixed(0)} | ${ratio} |`);
});
