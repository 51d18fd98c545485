import { describe, expect, it } from 'vitest';
import { parseReplicationOptions } from './replication-options.js';
import { fieldOf, figuresLine, figuresTable } from './replication-report.js';
import { isReplicationBench } from './run-replication.js';

const argv = (...args: string[]) => ['node', 'bench', ...args];

describe('a benchmark of replication', () => {
  it('has a table and one JSON line of the same figures, with what was asked for', () => {
    expect(fieldOf('leader node 1')).toBe('leaderNode1');
    const options = parseReplicationOptions(argv('lag', '--link-delay-ms', '40', '--nodes', '1'));
    const figures = { lagP50Ms: 41.23456, lagP99Ms: 123.4, samples: 900 };
    expect(JSON.parse(figuresLine(options, figures))).toEqual({
      ...{ scenario: 'lag', nodes: 1, linkDelayMs: 40 },
      ...{ lagP50Ms: 41.235, lagP99Ms: 123.4, samples: 900 },
    });
    const lines = figuresTable(options, figures).split('\n');
    expect(lines.slice(2).map((line) => line.split(/\s+/))).toEqual([
      ['lagP50Ms', '41.23'],
      ['lagP99Ms', '123'],
      ['samples', '900'],
    ]);
  });

  it('is told from one of a single cluster by its name', () => {
    expect(isReplicationBench(argv('idle-tables', '--tables', '5'))).toBe(true);
    expect(isReplicationBench(argv('get', '--keys', '5'))).toBe(false);
  });
});
