/** What a process of steady reads is told and what it tells: plain data, which goes between processes. */

export interface ReadPlan {
  /** http://host:port of a node. */
  readonly address: string;
  readonly rows: number;
  readonly ratePerSecond: number;
}

export type ReadCommand =
  | { readonly kind: 'start'; readonly plan: ReadPlan }
  /** Tell what was since the last one. */
  | { readonly kind: 'mark' };

export interface ReadFigures {
  readonly reads: number;
  /** Of reads that were due while too many waited for their answers. */
  readonly notSent: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface ReadReply {
  readonly figures?: ReadFigures;
  readonly error?: string;
}
