/**
 * `flotilla import` of generated rows, as its user would run it, measured from outside.
 */
import { randomBytes } from 'node:crypto';
import { createWriteStream, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { cpuSeconds } from '@flotilla/e2e/figures';
import { Cli, temporaryFolder } from '@flotilla/e2e/harness';
import { TABLE } from '../servers/regatta-protocol.js';
import type { Server } from '../servers/server.js';
import { keyOf } from './request-templates.js';
import { IMPORT_BATCH, IMPORT_CONCURRENCY, VALUE_BYTES } from './scenario.js';

const SAMPLE_MS = 50;
const BASE64_BYTES = (VALUE_BYTES / 4) * 3;

export interface ImportRun {
  readonly keys: number;
  readonly seconds: number;
  readonly serverCpuMicros: number;
  readonly clientCpuMicros: number;
}

export class ImportFile {
  private readonly folder = temporaryFolder('import');
  readonly path = join(this.folder, 'rows.jsonl');

  async write(keys: number): Promise<void> {
    function* lines(): Generator<string> {
      for (let number = 0; number < keys; number++) {
        const value = randomBytes(BASE64_BYTES).toString('base64');
        yield `${JSON.stringify({ key: keyOf(number).toString(), value })}\n`;
      }
    }
    await pipeline(Readable.from(lines()), createWriteStream(this.path));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Throws unless every row was imported. */
export async function runImport(
  server: Server,
  file: ImportFile,
  keys: number,
): Promise<ImportRun> {
  const cli = new Cli(`http://${server.address}`, TABLE);
  const shape = [`--concurrency=${IMPORT_CONCURRENCY}`, `--batch=${IMPORT_BATCH}`];
  const used = () => server.pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  let clientSeconds = 0;
  let sampler: NodeJS.Timeout | undefined;
  const before = used();
  const result = await cli.run(['import', file.path, ...shape, '-w', 'json'], {
    onStart: (pid) => {
      sampler = setInterval(() => {
        clientSeconds = cpuOf(pid) ?? clientSeconds;
      }, SAMPLE_MS);
    },
  });
  clearInterval(sampler);
  const after = used();
  if (result.code !== 0) throw new Error(`flotilla import failed: ${result.stderr}`);
  const report = JSON.parse(result.stdout.toString()) as { keys: number; milliseconds: number };
  if (report.keys !== keys) throw new Error(`flotilla import took ${report.keys} rows of ${keys}`);
  return {
    keys,
    seconds: report.milliseconds / 1000,
    serverCpuMicros: (after - before) * 1e6,
    clientCpuMicros: clientSeconds * 1e6,
  };
}

function cpuOf(pid: number): number | undefined {
  try {
    return cpuSeconds(pid);
  } catch {
    // It ended between two looks: the last look counts.
    return undefined;
  }
}
