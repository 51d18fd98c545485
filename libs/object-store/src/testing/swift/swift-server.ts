/**
 * A Swift of its own for a test: started, given a bucket, ended.
 *
 * In: where its packages are. Out: the settings of a store on it, and the same as a URL. The process ends with its
 * standard input, so also when the test dies.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { type S3Settings } from '../../s3/s3-settings.js';
import { PYTHON } from './swift-packages.js';

export const SWIFT_PART_BYTES = 256 * 1024;

const SCRIPT = fileURLToPath(new URL('swift-server.py', import.meta.url));
const BUCKET = 'backups';
const PREFIX = 'some/where';
const REGION = 'us-east-1';
const START_MS_MAX = 120_000;
/** As Swift's own authentication names users: account and user. */
const CREDENTIALS = { accessKeyId: 'test:tester', secretAccessKey: 'testing' };

const ENVIRONMENT = {
  AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
};

export interface Swift {
  readonly settings: S3Settings;
  readonly url: string;
  /** The credentials of a process that uses it. */
  readonly environment: Readonly<Record<string, string>>;
  readonly close: () => Promise<void>;
}

export async function startSwift(env: Readonly<Record<string, string>>): Promise<Swift> {
  const folder = await mkdtemp(join(tmpdir(), 'swift-'));
  const child = spawn(PYTHON, [SCRIPT, folder, String(SWIFT_PART_BYTES)], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const close = async (): Promise<void> => {
    await ended(child);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const endpoint = `http://127.0.0.1:${await portOf(child)}`;
    await createBucket(endpoint);
    const settings: S3Settings = {
      bucket: BUCKET,
      prefix: `${PREFIX}/`,
      region: REGION,
      endpoint,
      pathStyle: true,
      credentials: CREDENTIALS,
      conditionalWrites: 'probe',
      partBytes: SWIFT_PART_BYTES,
      partsInFlight: 3,
    };
    const url = `s3://${BUCKET}/${PREFIX}?region=${REGION}&endpoint=${endpoint}`;
    return { settings, url, environment: ENVIRONMENT, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function portOf(child: ChildProcess): Promise<number> {
  if (child.stdout === null) throw new Error('Swift has no standard output');
  const lines = createInterface({ input: child.stdout });
  const late = setTimeout(() => child.kill(), START_MS_MAX);
  try {
    for await (const line of lines) return (JSON.parse(line) as { port: number }).port;
  } finally {
    clearTimeout(late);
    lines.close();
  }
  throw new Error('Swift ended, or did not begin, before it told its port');
}

async function createBucket(endpoint: string): Promise<void> {
  const client = new S3Client({
    endpoint,
    region: REGION,
    forcePathStyle: true,
    credentials: CREDENTIALS,
    requestChecksumCalculation: 'WHEN_REQUIRED',
  });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  client.destroy();
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((done) => child.once('exit', done));
  child.stdin?.end();
  const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await exit;
  clearTimeout(late);
}
