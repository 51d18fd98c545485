/**
 * Metadata as it came in a header block. Binary values are unpacked when somebody asks for them.
 */
import { type MetadataValue, type ReceivedMetadata } from '../metadata.js';

export type TextPair = readonly [name: string, value: string];

export class ReceivedPairs implements ReceivedMetadata {
  constructor(private readonly pairs: readonly TextPair[]) {}

  get(name: string): string | undefined {
    const key = name.toLowerCase();
    if (key.endsWith('-bin')) return undefined;
    return this.pairs.find(([each]) => each === key)?.[1];
  }

  getAll(name: string): readonly MetadataValue[] {
    const key = name.toLowerCase();
    const values = this.pairs.filter(([each]) => each === key).map(([, value]) => value);
    // Several binary values may come as one, with commas between them.
    return key.endsWith('-bin')
      ? values.flatMap((value) => value.split(',').map((one) => Buffer.from(one, 'base64')))
      : values;
  }

  names(): readonly string[] {
    return [...new Set(this.pairs.map(([name]) => name))];
  }
}

export const NO_METADATA: ReceivedMetadata = new ReceivedPairs([]);
