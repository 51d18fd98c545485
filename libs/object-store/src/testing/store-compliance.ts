/**
 * What every object store has to do, whatever it stands on.
 *
 * In: how a fresh store is made, and what it is known not to offer. Out: a suite of tests. Each test
 * has a store, or at least a prefix, of its own.
 */
import { afterAll, beforeAll, describe } from 'vitest';
import { type ObjectStore } from '../port/object-store.js';
import { describeListing } from './compliance/listing.js';
import { describeReading } from './compliance/reading.js';
import { describeUploads } from './compliance/uploads.js';
import { describeWriting } from './compliance/writing.js';

export interface StoreUnderTest {
  readonly store: ObjectStore;
  readonly conditionalWrites: boolean;
  /** The least that all parts but the last must have. */
  readonly partBytesMin: number;
  close(): Promise<void>;
}

/** What the tests of one store share. */
export interface Bench extends StoreUnderTest {
  /** A beginning of keys that no other test uses; ends in a slash. */
  readonly prefix: () => string;
}

export function describeObjectStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`an object store: ${name}`, () => {
    let opened: StoreUnderTest | undefined;
    let prefixes = 0;
    const bench = (): Bench => {
      if (opened === undefined) throw new Error('the store is not open yet');
      return Object.assign(Object.create(opened) as StoreUnderTest, {
        prefix: () => `test-${(prefixes += 1)}/`,
      });
    };

    beforeAll(async () => {
      opened = await open();
    });
    afterAll(async () => {
      await opened?.close();
    });

    describeWriting(bench);
    describeReading(bench);
    describeListing(bench);
    describeUploads(bench);
  });
}
