/**
 * Loaded into a kv-node before its own code (`node --import`): makes file operations fail on command.
 *
 * In: the file that DISK_FAULTS names, looked at on every call, so that faults come and go while the
 * node runs. Out: the errors that Linux would give, short writes, late syncs; and in the file that it names a
 * trace of what was done to the paths in question. Paths come from /proc: Linux only. Operations that
 * no fault names are left alone.
 */
import { appendFileSync, readFileSync, readlinkSync } from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import type { DiskCall, DiskFault, DiskOrders, TracedCall } from './disk-faults.js';

type Callback = (error: Error | null, count?: number) => void;
type AnyCall = (...values: unknown[]) => unknown;
interface Descriptor {
  readonly fd: number;
}

const ERRNO = { ENOSPC: -28, EIO: -5 } as const;
const TEXT = { ENOSPC: 'no space left on device', EIO: 'i/o error' } as const;

// Kept from before the patching: the control file itself never fails.
const real = { append: appendFileSync, read: readFileSync, link: readlinkSync };
const functions = createRequire(import.meta.url)('node:fs') as Record<string, AnyCall> & {
  promises: { open(path: string): Promise<{ close(): Promise<void> }> };
};
const original = { ...functions };
const control = process.env['DISK_FAULTS'] ?? '';
/** How much each fault that lets a part through has let through. */
const passed = new Map<string, number>();

function pathOf(fd: unknown): string {
  try {
    return real.link(`/proc/self/fd/${String(fd)}`);
  } catch {
    return '';
  }
}

function faultFor(call: DiskCall, path: string): DiskFault | undefined {
  const { faults, trace } = JSON.parse(real.read(control, 'utf8')) as DiskOrders;
  const named = faults.filter((fault) => path.includes(fault.path));
  const fault = named.find((each) => each.call === call);
  if (named.length > 0) {
    const traced: TracedCall = { call, path, failed: fault?.code !== undefined };
    real.append(trace, `${JSON.stringify(traced)}\n`);
  }
  return fault;
}

function errorOf(fault: DiskFault, syscall: string): Error | undefined {
  const { code } = fault;
  if (code === undefined) return undefined;
  const error = new Error(`${code}: ${TEXT[code]}, ${syscall}`);
  return Object.assign(error, { code, errno: ERRNO[code], syscall });
}

/** How many bytes of a write get through before the error: never all of them. */
function bytesLeft(fault: DiskFault, asked: number): number {
  const key = JSON.stringify(fault);
  const before = passed.get(key) ?? 0;
  const count = Math.min(asked - 1, Math.max(0, (fault.partBytes ?? 0) - before));
  passed.set(key, before + count);
  return count;
}

/** What a write asks for, and the same for as much as gets through; undefined for none. */
function shortened(fault: DiskFault, values: readonly unknown[]): unknown[] | undefined {
  const [fd, bytes, start, length, ...rest] = values;
  if (!ArrayBuffer.isView(bytes) || typeof length !== 'number') return undefined;
  const count = bytesLeft(fault, length);
  return count === 0 ? undefined : [fd, bytes, start, count, ...rest];
}

function patchSync(name: string, call: DiskCall, fdOf: (value: unknown) => string = pathOf): void {
  const inner = original[name];
  functions[name] = (...values) => {
    const fault = faultFor(call, fdOf(values[0]));
    const error = fault && errorOf(fault, name.replace('Sync', ''));
    if (!fault || !error) return inner?.(...values);
    const part = call === 'write' ? shortened(fault, values) : undefined;
    if (part) return inner?.(...part);
    throw error;
  };
}

function patchAsync(name: string, call: DiskCall): void {
  const inner = original[name];
  functions[name] = (...values) => {
    const fault = faultFor(call, pathOf(values[0]));
    if (!fault) return inner?.(...values);
    const done = values.at(-1) as Callback;
    const error = errorOf(fault, name);
    const part = error && call === 'write' ? shortened(fault, values.slice(0, -1)) : undefined;
    const go = (): unknown => {
      if (part) return inner?.(...part, done);
      return error ? done(error) : inner?.(...values);
    };
    return setTimeout(go, fault.stallMs ?? 0);
  };
}

async function patchHandles(): Promise<void> {
  const handle = await functions.promises.open(control);
  const prototype = Object.getPrototypeOf(handle) as Record<string, AnyCall>;
  await handle.close();
  for (const name of ['datasync', 'sync']) {
    const inner = prototype[name];
    prototype[name] = function (this: Descriptor) {
      const fault = faultFor('sync', pathOf(this.fd));
      const error = fault && errorOf(fault, `f${name}`);
      return error ? Promise.reject(error) : inner?.call(this);
    };
  }
}

if (control !== '') {
  patchSync('writeSync', 'write');
  patchAsync('write', 'write');
  patchSync('fsyncSync', 'sync');
  patchAsync('fdatasync', 'sync');
  patchAsync('fsync', 'sync');
  patchSync('readSync', 'read');
  patchAsync('read', 'read');
  patchSync('openSync', 'open', String);
  syncBuiltinESMExports();
  await patchHandles();
}
