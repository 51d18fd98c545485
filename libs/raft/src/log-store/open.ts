/**
 * Opens a log directory: options checked, directory locked, files read back, parts put together.
 *
 * In: a directory and options. Out: a store, or a LogStoreError with everything closed again.
 */
import { EntryReaderFromLog } from './entry-reader.js';
import { LogStoreError } from './errors.js';
import type { DirectoryLock } from './files.js';
import { SEGMENT_BYTES_LIMIT, SEGMENT_HEADER_BYTES } from './format.js';
import { GroupDirectory } from './group-directory.js';
import { LogTail } from './log-tail.js';
import { NodeLogFiles } from './node-files.js';
import { recover } from './recovery.js';
import { Segments } from './segments.js';
import { SegmentedLogStore } from './store.js';
import { TailCache } from './tail-cache.js';
import type { LogStore, LogStoreOptions } from './types.js';

const MIB = 1024 * 1024;
/** The cache grows and shrinks in blocks of this size. */
const CACHE_BLOCK_BYTES = MIB;

type Settings = Required<Omit<LogStoreOptions, 'syncPlace'>> & Pick<LogStoreOptions, 'syncPlace'>;

const DEFAULTS: Omit<Settings, 'files'> = {
  segmentBytesMax: 64 * MIB,
  cacheBytesMax: 4 * MIB,
  pendingBytesMax: 256 * MIB,
  heldBytesMax: 64 * 1024,
  inlineWriteBytesMax: 128 * 1024,
  readHandlesMax: 64,
  damagedLastFrame: 'refuse',
  createIfMissing: true,
};

export async function openLogStore(dir: string, options: LogStoreOptions = {}): Promise<LogStore> {
  const settings = { ...DEFAULTS, files: new NodeLogFiles(), ...options };
  checkSettings(settings);
  const { files } = settings;
  let lock: DirectoryLock;
  try {
    await files.ensureDirectory(dir);
    lock = await files.lock(dir);
  } catch (cause) {
    throw asLogStoreError(cause, `cannot use ${dir} for the raft log`);
  }
  const segments = new Segments({ ...settings, directory: dir });
  try {
    return await openParts(dir, settings, segments, lock);
  } catch (cause) {
    await segments.close();
    await lock.release();
    throw asLogStoreError(cause, `cannot open the raft log in ${dir}`);
  }
}

async function openParts(
  directory: string,
  settings: Settings,
  segments: Segments,
  lock: DirectoryLock,
): Promise<LogStore> {
  const { files, segmentBytesMax, damagedLastFrame, createIfMissing } = settings;
  const blockBytes = Math.min(CACHE_BLOCK_BYTES, segmentBytesMax);
  const cache = new TailCache(blockBytes, settings.cacheBytesMax);
  const groups = new GroupDirectory(segments, new EntryReaderFromLog(cache, segments));
  const { start, report } = await recover({
    files,
    directory,
    segmentBytesMax,
    damagedLastFrame,
    createIfMissing,
    segments,
    groups,
  });
  return new SegmentedLogStore({
    segments,
    groups,
    cache,
    tail: new LogTail(segments, groups, cache, segmentBytesMax, start),
    lock,
    recovery: report,
    syncDirectory: () => files.syncDirectory(directory),
    firstSegmentToWrite: start.position.segment,
    inlineWriteBytesMax: settings.inlineWriteBytesMax,
    syncPlace: settings.syncPlace,
    pendingBytesMax: settings.pendingBytesMax,
    heldBytesMax: settings.heldBytesMax,
  });
}

function checkSettings(settings: Settings): void {
  const { segmentBytesMax } = settings;
  if (!(segmentBytesMax > SEGMENT_HEADER_BYTES && segmentBytesMax <= SEGMENT_BYTES_LIMIT)) {
    throw new LogStoreError(
      'invalid',
      `segmentBytesMax is ${segmentBytesMax}, it must be above ${SEGMENT_HEADER_BYTES} and at ` +
        `most ${SEGMENT_BYTES_LIMIT}`,
    );
  }
  const counts = {
    cacheBytesMax: settings.cacheBytesMax,
    pendingBytesMax: settings.pendingBytesMax,
    heldBytesMax: settings.heldBytesMax,
    inlineWriteBytesMax: settings.inlineWriteBytesMax,
    readHandlesMax: settings.readHandlesMax,
  };
  for (const [name, value] of Object.entries(counts)) {
    if (!(value >= 0)) throw new LogStoreError('invalid', `${name} is ${value}, it must be from 0`);
  }
}

function asLogStoreError(cause: unknown, what: string): LogStoreError {
  if (cause instanceof LogStoreError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LogStoreError('io', `${what}: ${reason}`, { cause });
}
