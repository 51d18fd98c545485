/**
 * Makes sure that one store at a time has a directory open, also across processes and containers.
 *
 * Each opener raises a flag: a listening Unix socket under a name of its own in the directory. Then
 * it looks at the flags of others by connecting to them. The kernel takes the listener away when
 * its process ends, however it ends, so a flag that refuses the connection is a leftover and is
 * removed; one that accepts belongs to somebody alive, and the opener takes its own flag down.
 * Of two openers at least the one that raised its flag later sees the other: both may give up, but
 * never do both go on. Names are never reused, so removing a leftover cannot hit a live flag.
 */
import { closeSync, openSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join, resolve } from 'node:path';

import { LogStoreError } from './errors.js';
import type { DirectoryLock } from './files.js';

const FLAG_NAME = /^lock-\d+-\d+\.sock$/;
/** A longer path does not fit into a socket address on any platform we know. */
const SOCKET_PATH_BYTES_MAX = 100;

export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const absolute = resolve(directory);
  const paths = new SocketPaths(absolute);
  const name = `lock-${process.pid}-${process.hrtime.bigint()}.sock`;
  let server: Server;
  try {
    server = await listen(paths.path(name));
  } catch (cause) {
    paths.close();
    throw new LogStoreError('io', `cannot make the lock socket ${name} in ${absolute}`, { cause });
  }
  const lock = new SocketLock(server, join(absolute, name), paths);
  try {
    for (const other of readdirSync(absolute)) {
      if (other === name || !FLAG_NAME.test(other)) continue;
      if (await isAlive(paths.path(other))) throw heldBy(absolute, other);
      rmSync(join(absolute, other), { force: true });
    }
  } catch (error) {
    await lock.release();
    throw error;
  }
  return lock;
}

class SocketLock implements DirectoryLock {
  private released: Promise<void> | undefined;

  constructor(
    private readonly server: Server,
    private readonly path: string,
    private readonly paths: SocketPaths,
  ) {}

  release(): Promise<void> {
    this.released ??= new Promise((fulfil) => {
      this.server.close(() => {
        rmSync(this.path, { force: true });
        this.paths.close();
        fulfil();
      });
    });
    return this.released;
  }
}

/** Socket addresses are short; a long directory is reached through its open descriptor. */
class SocketPaths {
  private readonly descriptor: number | undefined;

  constructor(private readonly directory: string) {
    const longest = Buffer.byteLength(join(directory, `lock-4194304-${2n ** 63n}.sock`));
    if (longest > SOCKET_PATH_BYTES_MAX && process.platform === 'linux') {
      this.descriptor = openSync(directory, 'r');
    }
  }

  path(name: string): string {
    if (this.descriptor === undefined) return join(this.directory, name);
    return `/proc/self/fd/${this.descriptor}/${name}`;
  }

  close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
  }
}

function listen(path: string): Promise<Server> {
  return new Promise((fulfil, reject) => {
    const server = createServer((connection) => connection.destroy());
    server.unref();
    server.once('error', reject);
    server.listen({ path, exclusive: true }, () => {
      server.removeListener('error', reject);
      fulfil(server);
    });
  });
}

function isAlive(path: string): Promise<boolean> {
  return new Promise((fulfil, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      fulfil(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') fulfil(false);
      // A full backlog means that somebody listens.
      else if (error.code === 'EAGAIN') fulfil(true);
      else reject(error);
    });
  });
}

function heldBy(directory: string, flag: string): LogStoreError {
  const pid = flag.split('-')[1] ?? '?';
  return new LogStoreError(
    'locked',
    `${directory} is in use by process ${pid}: stop it, or give this node another directory`,
  );
}
