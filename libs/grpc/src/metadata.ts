/**
 * Metadata: the headers and trailers of a call, as names and values.
 *
 * In: pairs set by code or taken from the wire. Out: lower-case names; text values as strings and
 * values of names that end in `-bin` as bytes.
 *
 * Must never let through a name or a value that could not be sent as an HTTP/2 header, nor one of
 * the names that gRPC keeps for itself: both throw where they are set, not later on the socket.
 */
import { GrpcError } from './errors.js';

export type MetadataValue = string | Buffer;

/** Metadata to send: a value, or several under one name. */
export type MetadataEntries = Readonly<Record<string, MetadataValue | readonly MetadataValue[]>>;

/** Metadata that came in. */
export interface ReceivedMetadata {
  /** The first text value of a name, whatever its case; undefined when there is none. */
  get(name: string): string | undefined;
  /** Every value of a name, in order. Binary for names that end in `-bin`. */
  getAll(name: string): readonly MetadataValue[];
  /** All names, lower-case. */
  names(): readonly string[];
}

const NAME = /^[0-9a-z_.-]+$/;
const TEXT_VALUE = /^[\x20-\x7e]*$/;

/** Checks a pair and gives the name as it goes over the wire. */
export function checkMetadataPair(name: string, value: MetadataValue): string {
  const key = name.toLowerCase();
  if (!NAME.test(key) || key.startsWith('grpc-')) {
    throw new GrpcError('METADATA_INVALID', `metadata name "${name}" cannot be sent`);
  }
  const binary = key.endsWith('-bin');
  if (binary !== Buffer.isBuffer(value)) {
    throw new GrpcError(
      'METADATA_INVALID',
      `metadata "${key}" must be ${binary ? 'a Buffer' : 'text: only names in -bin hold bytes'}`,
    );
  }
  if (typeof value === 'string' && !TEXT_VALUE.test(value)) {
    throw new GrpcError(
      'METADATA_INVALID',
      `metadata "${key}" holds a character that is not ASCII`,
    );
  }
  return key;
}

/** All pairs of `entries`, one value each, checked. */
export function* metadataPairs(entries: MetadataEntries): Generator<[string, MetadataValue]> {
  for (const [name, value] of Object.entries(entries)) {
    const values: readonly MetadataValue[] =
      typeof value === 'string' || Buffer.isBuffer(value) ? [value] : value;
    for (const one of values) {
      yield [checkMetadataPair(name, one), one];
    }
  }
}
