/**
 * etcd, one member or three on this machine, with its own defaults: every acknowledged put is synced.
 *
 * Only the quota is raised, which nothing but a large data set feels.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createGrpcJsClient } from '@flotilla/grpc';
import { freePort } from '@flotilla/grpc/testing';
import { temporaryFolder, waitUntil } from '@flotilla/e2e/harness';
import { etcdProtocol, readStatus, STATUS_PATH, type EtcdStatus } from './etcd-protocol.js';
import type { Server } from './server.js';

const QUOTA_BYTES = 8 * 1024 ** 3;
const OUTPUT_CHARS_MAX = 16 * 1024;
const STOP_MS = 30_000;
const LOOK_MS = 2_000;

interface Member {
  readonly name: string;
  readonly client: string;
  readonly peer: string;
}

export async function startEtcd(program: string, size: number): Promise<Server> {
  const members: Member[] = [];
  for (let id = 1; id <= size; id++) {
    const [client, peer] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
    members.push({ name: `m${id}`, client, peer });
  }
  const server = new EtcdServer(program, members);
  try {
    await server.start();
    return server;
  } catch (error) {
    await server.dispose();
    throw error;
  }
}

class EtcdServer implements Server {
  readonly name = 'etcd';
  readonly protocol = etcdProtocol;
  address = '';
  private version = '';
  private readonly folder = temporaryFolder('etcd');
  private children: ChildProcess[] = [];
  private printed = '';

  constructor(
    private readonly program: string,
    private readonly members: readonly Member[],
  ) {}

  get details(): Readonly<Record<string, string>> {
    return { version: this.version };
  }

  get pids(): readonly number[] {
    return this.children.map(({ pid }) => pid ?? 0);
  }

  async start(): Promise<void> {
    this.children = this.members.map((member) => this.spawn(member));
    try {
      await waitUntil('etcd has a leader', () => this.findLeader());
    } catch (error) {
      throw new Error(`etcd did not start:\n${this.printed}`, { cause: error });
    }
  }

  async restart(): Promise<void> {
    await this.stop('SIGTERM');
    await this.start();
  }

  async dispose(): Promise<void> {
    await this.stop('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  private spawn({ name, client, peer }: Member): ChildProcess {
    const cluster = this.members.map((each) => `${each.name}=http://${each.peer}`).join(',');
    const flags = {
      name,
      'data-dir': join(this.folder, name),
      'listen-client-urls': `http://${client}`,
      'advertise-client-urls': `http://${client}`,
      'listen-peer-urls': `http://${peer}`,
      'initial-advertise-peer-urls': `http://${peer}`,
      'initial-cluster': cluster,
      'quota-backend-bytes': QUOTA_BYTES,
      logger: 'zap',
      'log-level': 'error',
    };
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    const child = spawn(this.program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^ETCD_/.test(key))),
    });
    const keep = (chunk: Buffer) => {
      this.printed = (this.printed + chunk.toString()).slice(-OUTPUT_CHARS_MAX);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => keep(Buffer.from(String(error))));
    return child;
  }

  private async findLeader(): Promise<boolean> {
    for (const { client } of this.members) {
      const { leads, version } = await this.status(client);
      if (!leads) continue;
      this.address = client;
      this.version = version;
      return true;
    }
    return false;
  }

  private async status(address: string): Promise<EtcdStatus> {
    const client = createGrpcJsClient(`http://${address}`);
    try {
      const options = { deadlineMs: LOOK_MS, waitForReady: true };
      return readStatus(await client.unary(STATUS_PATH, new Uint8Array(), options));
    } finally {
      client.close();
    }
  }

  private async stop(signal: NodeJS.Signals): Promise<void> {
    const running = this.children.filter((child) => child.exitCode === null && !child.signalCode);
    this.children = [];
    const exits = running.map((child) => once(child, 'exit'));
    for (const child of running) child.kill(signal);
    const late = setTimeout(() => running.forEach((child) => child.kill('SIGKILL')), STOP_MS);
    await Promise.all(exits);
    clearTimeout(late);
  }
}
