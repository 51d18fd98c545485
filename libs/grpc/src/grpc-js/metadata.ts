/**
 * Metadata of `@grpc/grpc-js` as this library's, and back.
 *
 * In and out: pairs. Must never copy what came in before somebody asks for it.
 */
import { Metadata } from '@grpc/grpc-js';
import { type MetadataValue, type ReceivedMetadata } from '../metadata.js';
import { type MetadataPairs } from '../server/server-call.js';

export class ReceivedGrpcJsMetadata implements ReceivedMetadata {
  constructor(private readonly metadata: Metadata) {}

  get(name: string): string | undefined {
    const [value] = this.metadata.get(name);
    return typeof value === 'string' ? value : undefined;
  }

  getAll(name: string): readonly MetadataValue[] {
    return this.metadata.get(name);
  }

  names(): readonly string[] {
    return Object.keys(this.metadata.getMap());
  }
}

export function toGrpcJsMetadata(pairs: Iterable<readonly [string, MetadataValue]>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of pairs) {
    metadata.add(name, value);
  }
  return metadata;
}

const NONE = new Metadata();

/** As `toGrpcJsMetadata`, without making anything for nothing. Not to be changed afterwards. */
export function toTrailers(pairs: MetadataPairs): Metadata {
  return pairs.length === 0 ? NONE : toGrpcJsMetadata(pairs);
}
