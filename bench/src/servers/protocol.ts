/**
 * What a benchmark asks of a server, in the words of either API: messages out, a few numbers back.
 *
 * In: keys, values. Out: protobuf bytes for the load client, and answers as both APIs have them in
 * common. The load client sees paths and bytes only.
 */

export interface RangeQuery {
  readonly key: Uint8Array;
  readonly rangeEnd?: Uint8Array;
  readonly isLinearizable?: boolean;
  readonly countOnly?: boolean;
}

export interface Pair {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export interface RangeAnswer {
  readonly count: number;
  readonly values: readonly Uint8Array[];
}

export interface Protocol {
  readonly rangePath: string;
  readonly putPath: string;
  readonly txnPath: string;
  range(query: RangeQuery): Uint8Array;
  put(pair: Pair): Uint8Array;
  /** One transaction without conditions. */
  putAll(pairs: readonly Pair[]): Uint8Array;
  readRange(answer: Uint8Array): RangeAnswer;
  /** That of a put. */
  readRevision(answer: Uint8Array): number;
}
