/**
 * What is wrong in an import is named, stops it or is passed over as was asked, and loses nothing.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cli } from '../harness/cli.js';
import { NodeProcess } from '../harness/node-process.js';

const LINES = [
  '{"key": "a", "value": "1"}',
  'not json',
  '{"key": "b", "value": "2"}',
  '{"key": "c"}',
  '{"key": "", "value": "3"}',
  '{"key": "d", "value_base64": "AP8="}',
].join('\n');

describe('bad rows of an import', () => {
  let node: NodeProcess;
  let cli: Cli;
  beforeAll(async () => {
    node = await NodeProcess.start();
    cli = new Cli(node.apiAddress, 'rows');
    await cli.ok(['table', 'create', 'rows']);
  });
  afterAll(() => node.dispose());

  it('the first one ends the import with its line, and what stands before it is stored', async () => {
    const { code, stderr } = await cli.run(['import', '-'], { input: LINES });
    expect(code).toBe(1);
    expect(stderr).toContain('refused stdin:2:');
    expect(stderr).toContain('go on with --skip 1');
    expect(await cli.ok(['get', '', '--prefix', '--keys-only'])).toBe('a\n');
  });

  it('with --keep-going all good rows are stored, and every bad one is named', async () => {
    const { code, stdout, stderr } = await cli.run(['import', '-', '--keep-going'], {
      input: LINES,
    });
    expect(code).toBe(1);
    expect(stdout.toString()).toContain('imported 3 keys');
    expect(stdout.toString()).toContain('refused 3 rows');
    expect(stderr).toMatch(/stdin:2: /);
    expect(stderr).toMatch(/stdin:4: value is missing/);
    expect(stderr).toMatch(/stdin:5: the key is empty/);
    expect(await cli.ok(['get', '', '--prefix', '--keys-only'])).toBe('a\nb\nd\n');
    const { stdout: raw } = await cli.run(['get', 'd', '--print-value-only']);
    expect(raw).toEqual(Buffer.from([0x00, 0xff, 0x0a]));
  });

  it('tab-separated lines go in and out with every escape', async () => {
    const input = 'k1\tplain\nk2\ta\\tb\\nc\\\\d\\r\nk3\t\n';
    await cli.ok(['table', 'create', 'tsv']);
    const tsv = new Cli(node.apiAddress, 'tsv');
    await tsv.ok(['import', '-', '--format', 'tsv'], { input });
    expect(await tsv.ok(['get', 'k2', '--print-value-only'])).toBe('a\tb\nc\\d\r\n');
    expect(await tsv.ok(['export', '--format', 'tsv'])).toBe(input);
  });

  it('a table that does not exist is an error, not a success without rows', async () => {
    const missing = new Cli(node.apiAddress, 'missing');
    const input = '{"key": "a", "value": "1"}';
    const { code, stderr } = await missing.run(['import', '-'], { input });
    expect(code).toBe(1);
    expect(stderr).toContain('table not found');
  });
});
