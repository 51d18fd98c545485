/**
 * A server that speaks S3 as a child process, its bucket in a folder: started, killed and started again.
 *
 * It is the one of the tests of `libs/object-store`, which checks signatures. What it has acknowledged is
 * there after a kill. Out: the URL of a store in its bucket, and what is in it by now.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '@flotilla/grpc/testing';
import { cleanEnvironment, ROOT, temporaryFolder } from './node-process.js';

const PROGRAM = join(ROOT, 'libs/object-store/dist/testing/fake-s3/fake-s3-main.js');
const START_MS = 60_000;
const OUTPUT_CHARS_MAX = 64 * 1024;
const BUCKET = 'backups';
const PREFIX = 'some/where';

export class StoreProcess {
  /** Credentials, for the server and for whoever uses it. */
  readonly environment = {
    AWS_ACCESS_KEY_ID: 'tests-access-key',
    AWS_SECRET_ACCESS_KEY: 'tests-secret',
  };
  readonly folder = temporaryFolder('s3');
  private child: ChildProcess | undefined;
  private printed = '';

  private constructor(private readonly port: number) {}

  /** Settles once it serves. */
  static async start(): Promise<StoreProcess> {
    const store = new StoreProcess(await freePort());
    await store.start();
    return store;
  }

  get url(): string {
    const endpoint = `http://127.0.0.1:${this.port}`;
    return `s3://${BUCKET}/${PREFIX}?region=eu-central-1&endpoint=${endpoint}`;
  }

  get pid(): number {
    const pid = this.child?.pid;
    if (pid === undefined) throw new Error('the store does not run');
    return pid;
  }

  async start(): Promise<void> {
    this.printed = '';
    const child = spawn(process.execPath, [PROGRAM, this.folder, String(this.port), BUCKET], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...cleanEnvironment(), ...this.environment },
    });
    const keep = (chunk: Buffer) => {
      this.printed = (this.printed + chunk.toString()).slice(-OUTPUT_CHARS_MAX);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    this.child = child;
    const late = new AbortController();
    const outcome = await Promise.race([
      once(child, 'message').then(() => 'ready'),
      once(child, 'exit').then(() => 'ended'),
      sleep(START_MS, 'late', { signal: late.signal }),
    ]);
    late.abort();
    if (outcome === 'ready') return;
    child.kill('SIGKILL');
    throw new Error(`the store did not start (${outcome}):\n${this.printed}`);
  }

  /** Names of all objects of the store, without its prefix. */
  objectNames(): string[] {
    const keys = this.objectFiles().map(([key]) => key);
    return keys.map((key) => key.slice(PREFIX.length + 1)).sort();
  }

  /** Keys with the files that they lie in; the time of a file is the time of its object. */
  objectFiles(): (readonly [string, string])[] {
    const folder = join(this.folder, 'objects');
    return readdirSync(folder).map((name) => {
      return [decodeURIComponent(name.replace(/^key-/, '')), join(folder, name)] as const;
    });
  }

  /** Uploads in parts that are neither complete nor given up. */
  unfinishedUploads(): number {
    return readdirSync(join(this.folder, 'uploads')).length;
  }

  /** Idempotent. */
  async kill(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** Ends it and removes its folder. */
  async dispose(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
