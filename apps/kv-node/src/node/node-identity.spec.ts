import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hasNodeIdentity, nodeIdentity } from './node-identity.js';

describe('the identity of a data folder', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'flotilla-identity-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is made once, in folders that are made for it, and stays', () => {
    const deep = join(folder, 'a', 'b');
    expect(hasNodeIdentity(deep)).toBe(false);
    const first = nodeIdentity(deep, 3, 'c', true);
    expect(hasNodeIdentity(deep)).toBe(true);
    expect(nodeIdentity(deep, 3, 'c', false)).toMatchObject({ ...first, joined: true });
  });

  it('of another node or cluster is refused by name', () => {
    nodeIdentity(folder, 3, 'c', false);
    expect(() => nodeIdentity(folder, 4, 'c', false)).toThrow(/belongs to node 3/);
    expect(() => nodeIdentity(folder, 3, 'd', false)).toThrow(/belongs to cluster "c"/);
  });

  it('that was cut or cannot be written is refused with the file', () => {
    nodeIdentity(folder, 3, 'c', false);
    const file = join(folder, 'identity.json');
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, 20));
    expect(() => nodeIdentity(folder, 3, 'c', false)).toThrow(`${file} is damaged`);
    rmSync(file);
    // A folder stands where the file is to be written.
    mkdirSync(`${file}.tmp`);
    expect(() => nodeIdentity(folder, 3, 'c', false)).toThrow(
      expect.objectContaining({
        name: 'NodeIdentityError',
        message: expect.stringContaining(`${file} could not be written: EISDIR`) as string,
      }) as Error,
    );
  });
});
