/**
 * Real files whose syncs are taken for done at once: for tests in which no power is cut.
 *
 * In and out: as with the real file operations. What is written is read back by the same kernel, so
 * such a test sees no difference, but it does not wait a thousand times for a slow disk.
 */
import type { LogFile } from '../files.js';
import { NodeLogFiles } from '../node-files.js';

export class UnsyncedFiles extends NodeLogFiles {
  override create(path: string): LogFile {
    return withoutSync(super.create(path));
  }

  override open(path: string): LogFile {
    return withoutSync(super.open(path));
  }

  override syncDirectory(_directory: string): Promise<void> {
    return Promise.resolve();
  }
}

function withoutSync(file: LogFile): LogFile {
  file.sync = () => Promise.resolve();
  return file;
}
