/**
 * The metrics of a gRPC server under the names, labels and buckets that dashboards for gRPC servers
 * expect: started, handled by code, messages in and out, and the time a call took.
 *
 * In: calls, as an observer of the transport. Out: metrics of a registry. On the path of a call there
 * are only additions to numbers found by method; labels are put together when a scrape asks. An
 * ordinary labelled metric hashes its labels at every step, which costs more than our transport.
 */
import {
  type CallObserver,
  type MethodInfo,
  type MethodKind,
  type StatusCode,
  statusLabel,
  toStatusCode,
} from '@flotilla/grpc';
import { Counter, type Registry, register as defaultRegister } from 'prom-client';
import { TalliedHistogram, type Tally } from './tallied-histogram.js';

/** Upper bounds in seconds, as Regatta has them. */
export const HANDLING_SECONDS_BUCKETS = [
  0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30,
] as const;

const TYPE_LABELS: Readonly<Record<MethodKind, string>> = {
  unary: 'unary',
  'server-stream': 'server_stream',
  'client-stream': 'client_stream',
  bidi: 'bidi_stream',
};

const LABELS = ['grpc_type', 'grpc_service', 'grpc_method'] as const;

type MethodLabels = Readonly<Record<(typeof LABELS)[number], string>>;

/** All that is counted of one method. */
interface MethodCounts {
  readonly labels: MethodLabels;
  started: number;
  received: number;
  sent: number;
  /** Indexed by status code. */
  readonly handledByCode: number[];
  readonly handling: Tally;
}

export interface GrpcServerMetrics extends CallObserver {
  /** Shows the methods at zero before their first call, so that rates have a beginning. */
  initialize(methods: readonly MethodInfo[]): void;
}

export function grpcServerMetrics(registry: Registry = defaultRegister): GrpcServerMetrics {
  const byPath = new Map<string, MethodCounts>();
  exposeCounts(registry, byPath);
  exposeDurations(registry, byPath);

  // Bounded by the methods of the server: only registered methods are observed.
  const countsOf = (method: MethodInfo): MethodCounts => {
    let counts = byPath.get(method.path);
    if (counts === undefined) {
      counts = emptyCounts(method);
      byPath.set(method.path, counts);
    }
    return counts;
  };
  return {
    initialize(methods) {
      for (const method of methods) countsOf(method);
    },
    onCall(method) {
      const counts = countsOf(method);
      counts.started += 1;
      return ({ code, messagesIn, messagesOut, durationMs }) =>
        ended(counts, code, messagesIn, messagesOut, durationMs);
    },
    unary: {
      started(method) {
        const counts = countsOf(method);
        counts.started += 1;
      },
      ended(method, code, answered, durationMs) {
        ended(countsOf(method), code, 1, answered ? 1 : 0, durationMs);
      },
    },
  };
}

function ended(
  counts: MethodCounts,
  code: StatusCode,
  messagesIn: number,
  messagesOut: number,
  durationMs: number,
): void {
  counts.handledByCode[code] = (counts.handledByCode[code] ?? 0) + 1;
  counts.received += messagesIn;
  counts.sent += messagesOut;
  counts.handling.add(durationMs / 1_000);
}

function emptyCounts(method: MethodInfo): MethodCounts {
  const labels = {
    grpc_type: TYPE_LABELS[method.kind],
    grpc_service: method.service,
    grpc_method: method.method,
  };
  return {
    labels,
    started: 0,
    received: 0,
    sent: 0,
    handledByCode: [],
    handling: TalliedHistogram.tally(HANDLING_SECONDS_BUCKETS),
  };
}

function exposeCounts(registry: Registry, byPath: ReadonlyMap<string, MethodCounts>): void {
  const expose = (name: string, help: string, value: (counts: MethodCounts) => number): void => {
    const metric = new Counter({
      name,
      help,
      labelNames: LABELS,
      registers: [registry],
      collect() {
        metric.reset();
        for (const counts of byPath.values()) metric.inc(counts.labels, value(counts));
      },
    });
  };
  expose('grpc_server_started_total', 'Calls started.', (counts) => counts.started);
  expose('grpc_server_msg_received_total', 'Messages received.', (counts) => counts.received);
  expose('grpc_server_msg_sent_total', 'Messages sent.', (counts) => counts.sent);
  const handled = new Counter({
    name: 'grpc_server_handled_total',
    help: 'Calls completed, by the status they ended with.',
    labelNames: [...LABELS, 'grpc_code'] as const,
    registers: [registry],
    collect() {
      handled.reset();
      for (const { labels, handledByCode } of byPath.values()) {
        handledByCode.forEach((count, code) => {
          handled.inc({ ...labels, grpc_code: statusLabel(toStatusCode(code)) }, count);
        });
      }
    },
  });
}

function exposeDurations(registry: Registry, byPath: ReadonlyMap<string, MethodCounts>): void {
  new TalliedHistogram({
    name: 'grpc_server_handling_seconds',
    help: 'Seconds from the start of a call to its status.',
    labelNames: LABELS,
    bounds: HANDLING_SECONDS_BUCKETS,
    registry,
    *series() {
      for (const counts of byPath.values()) yield [counts.labels, counts.handling] as const;
    },
  });
}
