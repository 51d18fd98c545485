/** A directory of histories: what counts, what it is held against, and what is never called right. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeHistoryEntry, encodeHistoryHeader } from '../formats/flotilla-history.js';
import { historiesBelow, isRight, judgeHistory } from './judge.js';

const READ_OF_NOTHING =
  'INFO  jepsen.util - 0 :invoke :read nil\nINFO  jepsen.util - 0 :ok :read 3\n';
const READ_OF_NIL = READ_OF_NOTHING.replace(':read 3', ':read nil');
const KV_READ =
  '{:process 0, :type :invoke, :f :get, :key "0", :value nil}\n' +
  '{:process 0, :type :ok, :f :get, :key "0", :value "x"}\n';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'flotilla-histories-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(name: string, content: string): void {
  mkdirSync(dirname(join(root, name)), { recursive: true });
  writeFileSync(join(root, name), content);
}

const rightOf = (name: string) => isRight(judgeHistory(root, name));

describe('what is expected of a history', () => {
  it('is what expected.txt beside it says', () => {
    write('jepsen/a.log', READ_OF_NOTHING);
    write('jepsen/b.log', READ_OF_NOTHING);
    write('jepsen/expected.txt', 'a.log not-linearizable\nb.log linearizable\n');
    expect(historiesBelow(root)).toEqual(['jepsen/a.log', 'jepsen/b.log']);
    expect(rightOf('jepsen/a.log')).toBe(true);
    expect(rightOf('jepsen/b.log')).toBe(false);
  });

  it('else is told by its name', () => {
    write('kv/c01-bad.txt', KV_READ);
    write('kv/c01-ok.txt', KV_READ);
    expect(rightOf('kv/c01-bad.txt')).toBe(true);
    expect(rightOf('kv/c01-ok.txt')).toBe(false);
  });

  it('is in the header of our own, whatever stands beside it', () => {
    const get = encodeHistoryEntry({
      client: 1,
      kind: 'get',
      table: 't',
      key: 'k',
      outcome: 'ok',
      found: 'x',
      revision: 4,
      call: 0,
      return: 1,
    });
    write('a-ok.jsonl', encodeHistoryHeader('not-linearizable') + get);
    write('b.jsonl', encodeHistoryHeader() + get);
    expect(rightOf('a-ok.jsonl')).toBe(true);
    expect(rightOf('b.jsonl')).toBe(false);
    expect(judgeHistory(root, 'b.jsonl').report).toContain('get found "x" @4');
  });

  it('may be nothing, and then it is neither right nor wrong', () => {
    write('a.log', '');
    expect(judgeHistory(root, 'a.log')).toMatchObject({ expected: undefined, operations: 0 });
    expect(rightOf('a.log')).toBeUndefined();
  });
});

describe('never right', () => {
  it('is a file that cannot be read, though nothing is expected of it', () => {
    write('a.log', 'INFO  jepsen.util - 0 :invoke :nonsense 1\n');
    expect(judgeHistory(root, 'a.log')).toMatchObject({ found: 'unreadable' });
    expect(rightOf('a.log')).toBe(false);
    write('b-ok.jsonl', '');
    expect(rightOf('b-ok.jsonl')).toBe(false);
  });

  it('is a file that is expected and missing', () => {
    write('expected.txt', 'gone.log linearizable\n');
    expect(historiesBelow(root)).toEqual(['gone.log']);
    expect(rightOf('gone.log')).toBe(false);
  });

  it('is a history whose search reached a bound', () => {
    write('a-ok.log', READ_OF_NIL);
    expect(rightOf('a-ok.log')).toBe(true);
    const judgement = judgeHistory(root, 'a-ok.log', { stepsMax: 0 });
    expect(judgement).toMatchObject({ found: 'unknown', report: 'undecided: the register' });
    expect(isRight(judgement)).toBe(false);
  });
});

it('other files are passed over, and a verdict that is none is refused', () => {
  write('LICENSE.md', 'text');
  expect(historiesBelow(root)).toEqual([]);
  write('expected.txt', 'a.log maybe\n');
  expect(() => historiesBelow(root)).toThrow(/not a verdict: "a.log maybe"/);
});
