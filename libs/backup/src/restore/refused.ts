/** Why a cluster does not take what is restored. In: its word. Out: an error that says what can be done. */
import { BackupError } from '../backup-error.js';

export function refused(table: string, reason: string): BackupError {
  const texts: Readonly<Record<string, string>> = {
    local: 'the name belongs to a table that is not to be replaced',
    'old-token': 'somebody else has taken this restore over',
    'out-of-order': 'batches before the last one are missing',
    'other-table': 'the name means another table than when the restore began',
    missing: 'what was filled is not there any more',
  };
  const code = reason === 'old-token' ? 'RUN_BUSY' : 'TABLE_CHANGED';
  return new BackupError(code, `table ${table}: ${texts[reason] ?? reason}`);
}
