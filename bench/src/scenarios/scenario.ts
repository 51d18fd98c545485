/**
 * What is measured, as data: which servers, which keys, and the cases of each scenario.
 */
import type { RequestTemplate } from '../load/plan.js';
import type { Protocol } from '../servers/protocol.js';
import { getTemplate, putTemplate, rangeTemplate, txnTemplate } from './request-templates.js';

export const VALUE_BYTES = 100;
export const KEYS_DEFAULT = 10_000;
const IMPORT_KEYS_DEFAULT = 200_000;
/** As `flotilla import` does by itself. */
export const IMPORT_BATCH = 64;
export const IMPORT_CONCURRENCY = 8;

export interface CaseRequest {
  readonly template: RequestTemplate;
  /** Each makes one revision. */
  readonly writes: boolean;
  /** An answer that is smaller cannot be right. */
  readonly answerBytesLeast: number;
}

export interface Case {
  readonly label: string;
  readonly connections: number;
  readonly streams: number;
  /** Pairs that one request is about. */
  readonly keysEach: number;
  requests(protocol: Protocol): readonly CaseRequest[];
  /** All keys once, each request counting for its pairs; else random keys for a time. */
  readonly course: 'timed' | 'all-keys';
  /** Whether our own command does it instead of the load client. */
  readonly byCommand?: boolean;
  /** What a write of this many bytes takes without any server is measured beside it. */
  readonly floorBytes?: number;
}

export interface Scenario {
  readonly name: string;
  readonly nodes: number;
  readonly keysDefault: number;
  /** Whether the keys are there before it begins. */
  readonly isLoaded: boolean;
  /** Servers that were written to are replaced by fresh ones before the next round. */
  readonly writes: boolean;
  readonly cases: readonly Case[];
}

/** What a put brings to the log beside its value, roughly. */
const LOG_OVERHEAD_BYTES = 100;

const SHAPES = [
  [8, 32],
  [1, 32],
  [1, 1],
] as const;

function get(isLinearizable: boolean, connections: number, streams: number): Case {
  const kind = isLinearizable ? 'linearizable' : 'serializable';
  return {
    label: `${kind} ${connections}x${streams}`,
    connections,
    streams,
    keysEach: 1,
    course: 'timed',
    requests: (protocol) => [
      {
        template: getTemplate(protocol, isLinearizable),
        writes: false,
        answerBytesLeast: VALUE_BYTES,
      },
    ],
  };
}

function put(connections: number, streams: number, valueBytes: number): Case {
  return {
    label: `${connections * streams} in flight, ${valueBytes} B`,
    connections,
    streams,
    keysEach: 1,
    course: 'timed',
    ...(connections * streams === 1 && { floorBytes: valueBytes + LOG_OVERHEAD_BYTES }),
    requests: (protocol) => [
      { template: putTemplate(protocol, valueBytes), writes: true, answerBytesLeast: 1 },
    ],
  };
}

function range(pairs: number): Case {
  return {
    label: `${pairs} pairs 4x4`,
    connections: 4,
    streams: 4,
    keysEach: pairs,
    course: 'timed',
    requests: (protocol) => [
      {
        template: rangeTemplate(protocol, pairs),
        writes: false,
        answerBytesLeast: pairs * VALUE_BYTES,
      },
    ],
  };
}

function mixed(connections: number, streams: number): Case {
  return {
    label: `90/10 ${connections}x${streams}`,
    connections,
    streams,
    keysEach: 1,
    course: 'timed',
    requests: (protocol) => [
      {
        template: { ...getTemplate(protocol, false), weight: 9 },
        writes: false,
        answerBytesLeast: VALUE_BYTES,
      },
      { template: putTemplate(protocol, VALUE_BYTES), writes: true, answerBytesLeast: 1 },
    ],
  };
}

/** Ranges of 100 pairs and puts of one pair each, so many to so many, into what the ranges read. */
function rangesAndPuts(ranges: number, puts: number): Case {
  const pairs = 100;
  return {
    label: `${ranges} ranges of ${pairs}, ${puts} puts 4x4`,
    connections: 4,
    streams: 4,
    keysEach: pairs,
    course: 'timed',
    requests: (protocol) => [
      {
        template: { ...rangeTemplate(protocol, pairs), weight: ranges },
        writes: false,
        answerBytesLeast: pairs * VALUE_BYTES,
      },
      {
        template: { ...putTemplate(protocol, VALUE_BYTES), weight: puts },
        writes: true,
        answerBytesLeast: 1,
      },
    ],
  };
}

function batches(label: string, byCommand: boolean): Case {
  return {
    label,
    byCommand,
    connections: IMPORT_CONCURRENCY,
    streams: 1,
    keysEach: IMPORT_BATCH,
    course: 'all-keys',
    requests: (protocol) => [
      {
        template: txnTemplate(protocol, IMPORT_BATCH, VALUE_BYTES),
        writes: true,
        answerBytesLeast: IMPORT_BATCH,
      },
    ],
  };
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'get',
    nodes: 1,
    keysDefault: KEYS_DEFAULT,
    isLoaded: true,
    writes: false,
    cases: [false, true].flatMap((isLinearizable) =>
      SHAPES.map(([connections, streams]) => get(isLinearizable, connections, streams)),
    ),
  },
  {
    name: 'put',
    nodes: 1,
    keysDefault: KEYS_DEFAULT,
    isLoaded: false,
    writes: true,
    cases: [VALUE_BYTES, 1024].flatMap((valueBytes) =>
      SHAPES.map(([connections, streams]) => put(connections, streams, valueBytes)),
    ),
  },
  {
    name: 'put-3',
    nodes: 3,
    keysDefault: KEYS_DEFAULT,
    isLoaded: false,
    writes: true,
    cases: [put(8, 32, VALUE_BYTES)].map((each) => ({ ...each, label: `3 nodes, ${each.label}` })),
  },
  {
    name: 'range',
    nodes: 1,
    keysDefault: KEYS_DEFAULT,
    isLoaded: true,
    writes: false,
    cases: [range(1_000), range(100)],
  },
  {
    name: 'mixed',
    nodes: 1,
    keysDefault: KEYS_DEFAULT,
    isLoaded: true,
    writes: true,
    cases: [mixed(8, 32)],
  },
  {
    name: 'range-mixed',
    nodes: 1,
    keysDefault: KEYS_DEFAULT,
    isLoaded: true,
    writes: true,
    cases: [rangesAndPuts(9, 1), rangesAndPuts(1, 9)],
  },
  {
    name: 'import',
    nodes: 1,
    keysDefault: IMPORT_KEYS_DEFAULT,
    isLoaded: false,
    writes: true,
    cases: [batches('flotilla import', true), batches('same client', false)],
  },
];
