/**
 * A directory tree through the command line tool: the project's own installed packages, and names
 * and contents that are no text.
 */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cli, residentBytes } from '../harness/cli.js';
import { NodeProcess, ROOT, temporaryFolder } from '../harness/node-process.js';

const PACKAGES = ['fast-check', 'class-validator', 'rxjs', '@grpc', '@bufbuild/protobuf'];
const VALUE_BYTES_MAX = 2 * 1024 * 1024;
const MEGABYTES = Number(process.env['FLOTILLA_E2E_MEGABYTES'] ?? 64);
/** What neither process may grow beyond while data goes through, whatever its amount. */
const CLI_RSS_BYTES_MAX = 400 * 1024 * 1024;
const NODE_RSS_BYTES_MAX = 900 * 1024 * 1024;

function filesBelow(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

describe('a directory tree', () => {
  let node: NodeProcess;
  let folder: string;
  beforeAll(async () => {
    folder = temporaryFolder('tree');
    node = await NodeProcess.start();
  });
  afterAll(async () => {
    await node.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  it('installed packages go in and come out byte for byte; what is too large is named and counted', async () => {
    const source = join(folder, 'source');
    for (const name of PACKAGES) {
      cpSync(join(ROOT, 'node_modules', name), join(source, name), { recursive: true });
    }
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    writeFileSync(join(source, 'every-byte.bin'), everyByte);
    writeFileSync(join(source, 'empty'), '');
    writeFileSync(join(source, 'largest.bin'), Buffer.alloc(VALUE_BYTES_MAX, 0xa5));
    writeFileSync(join(source, 'too-large.bin'), Buffer.alloc(VALUE_BYTES_MAX + 1));
    const cli = new Cli(node.apiAddress, 'tree');
    await cli.ok(['table', 'create', 'tree']);

    const { code, stdout, stderr } = await cli.run(['import', source, '--keep-going']);
    const names = filesBelow(source).filter((name) => name !== 'too-large.bin');
    expect(stdout.toString()).toContain(`imported ${names.length} keys`);
    expect(stdout.toString()).toContain('refused 1 rows');
    expect(stderr).toContain('refused too-large.bin: the value has 2097153 bytes, max 2097152');
    expect(code).toBe(1);

    const target = join(folder, 'target');
    await cli.ok(['export', `${target}/`]);
    expect(filesBelow(target).sort()).toEqual([...names].sort());
    const different = names.filter(
      (name) => !readFileSync(join(source, name)).equals(readFileSync(join(target, name))),
    );
    expect(different).toEqual([]);
  });

  it('names that are no text are keys all the same', async () => {
    const source = mkdtempSync(join(folder, 'names-'));
    const name = Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0xff, 0xfe, 0x20, 0x01])]);
    writeFileSync(name, 'content');
    const cli = new Cli(node.apiAddress, 'names');
    await cli.ok(['table', 'create', 'names']);
    await cli.ok(['import', source]);
    const lines = (await cli.ok(['export'])).trim().split('\n');
    expect(lines).toEqual(['{"key_base64":"//4gAQ==","value":"content"}']);
  });

  it('a key that would leave the folder is refused by name when a directory is written', async () => {
    const cli = new Cli(node.apiAddress, 'paths');
    await cli.ok(['table', 'create', 'paths']);
    await cli.ok(['put', '../outside', 'x']);
    await cli.ok(['put', 'inside/file', 'y']);
    const target = join(folder, 'paths');
    const { code, stderr } = await cli.run(['export', `${target}/`]);
    expect(code).toBe(1);
    expect(stderr).toContain('refused "../outside"');
    expect(filesBelow(target)).toEqual(['inside/file']);
  });

  it(`memory stays flat while ${MEGABYTES} MB go through`, async () => {
    const source = join(folder, 'bulk');
    mkdirSync(source);
    const block = Buffer.alloc(1024 * 1024);
    const lines = join(source, 'bulk.jsonl');
    for (let at = 0; at < MEGABYTES; at++) {
      block.fill(`${at} some text that a compressor would like; `);
      const value = block.toString();
      writeFileSync(lines, `${JSON.stringify({ key: `bulk/${at}`, value })}\n`, { flag: 'a' });
    }
    const cli = new Cli(node.apiAddress, 'bulk');
    await cli.ok(['table', 'create', 'bulk']);
    let nodeRss = 0;
    const sampler = setInterval(() => (nodeRss = Math.max(nodeRss, residentBytes(node.pid))), 100);
    const { code, stdout, rssBytesMax } = await cli.run(['import', lines]);
    clearInterval(sampler);
    const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
    console.log(
      `${stdout.toString().trim()}; resident: tool ${megabytes(rssBytesMax)}, ` +
        `node ${megabytes(nodeRss)}`,
    );
    expect(code).toBe(0);
    expect(rssBytesMax).toBeLessThan(CLI_RSS_BYTES_MAX);
    expect(nodeRss).toBeLessThan(NODE_RSS_BYTES_MAX);
  });
});
