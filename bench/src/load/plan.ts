/**
 * What a load client is asked to do and what it tells: plain data, which goes between processes.
 */

/** A request message with places that change from one request to the next. */
export interface RequestTemplate {
  /** For people: `get`, `put`. */
  readonly name: string;
  /** `/package.Service/Method`. */
  readonly path: string;
  /** The protobuf message, in base64. */
  readonly body: string;
  /** Where a key's number ends in the body, and what is added to the number of the request. */
  readonly keys: readonly KeyPlace[];
  /** Where random bytes go. */
  readonly values: readonly ValuePlace[];
  /** How often it is sent, compared with the others of the plan. */
  readonly weight: number;
}

export interface KeyPlace {
  readonly end: number;
  readonly add: number;
}

export interface ValuePlace {
  readonly from: number;
  readonly bytes: number;
}

/** Random keys for a time, or all keys once. */
export type Course =
  | { readonly kind: 'timed'; readonly warmUpSeconds: number; readonly seconds: number }
  | { readonly kind: 'counted'; readonly requests: number };

export interface LoadPlan {
  readonly host: string;
  readonly port: number;
  readonly connections: number;
  /** Requests in flight on each connection. */
  readonly streams: number;
  readonly templates: readonly RequestTemplate[];
  /** Numbers of keys are below this. */
  readonly keys: number;
  /** Keys that one request touches, one after the other. */
  readonly keysEach: number;
  readonly course: Course;
  /** Processes of the servers. */
  readonly pids: readonly number[];
}

export interface TemplateResult {
  readonly name: string;
  /** Answers while it was measured. */
  readonly requests: number;
  /** All answers, those before and after the measurement included. */
  readonly answered: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The smallest answer, in bytes of its messages with their prefix. */
  readonly answerBytesMin: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly serverCpuMicros: number;
  readonly clientCpuMicros: number;
  readonly templates: readonly TemplateResult[];
}
