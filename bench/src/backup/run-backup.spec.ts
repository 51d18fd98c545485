import { describe, expect, it } from 'vitest';
import { parseBackupOptions } from './backup-options.js';
import { rowKey, rowsOf } from './load-rows.js';
import { backupLine, isBackupBench } from './run-backup.js';

const argv = (...args: string[]) => ['node', 'bench', ...args];

describe('the benchmark of backups', () => {
  it('is told from others by its name, and takes one node and a gigabyte by itself', () => {
    expect(isBackupBench(argv('backup', '--nodes', '3'))).toBe(true);
    expect(isBackupBench(argv('put', '--keys', '5'))).toBe(false);
    expect(parseBackupOptions(argv('backup'))).toMatchObject({ nodes: 1, megabytes: 1_024 });
    expect(parseBackupOptions(argv('backup', '--nodes', '3'))).toMatchObject({ nodes: 3 });
  });

  it('has one JSON line with what was asked for and what was measured', () => {
    const line = backupLine(3, 500, { backupMBps: 81.234567, rows: 2 });
    expect(JSON.parse(line)).toEqual({
      ...{ scenario: 'backup', nodes: 3, readRate: 500, backupMBps: 81.235, rows: 2 },
    });
  });

  it('has rows with keys of 20 bytes that grow, as many as whole transactions need', () => {
    expect(rowKey(7)).toHaveLength(20);
    expect(Buffer.compare(rowKey(99), rowKey(100))).toBeLessThan(0);
    expect(rowsOf(1)).toBe(1_000);
    expect(rowsOf(100)).toBe(97_700);
  });
});
