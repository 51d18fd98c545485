/**
 * Keys that backups are encrypted with, by their ids.
 *
 * In: key material from files, 32 bytes as hex, base64 or raw. Out: keys. The id stands in the manifest
 * in plain text; the key nowhere.
 */
import { createHash, createHmac } from 'node:crypto';
import { BackupError } from '../backup-error.js';

const KEY_BYTES = 32;
const KEY_ID = /^[A-Za-z0-9._-]{1,64}$/;

export interface BackupKey {
  readonly id: string;
  readonly secret: Buffer;
}

export class KeyRing {
  private readonly keys = new Map<string, BackupKey>();

  constructor(keys: readonly BackupKey[] = []) {
    for (const { id, secret } of keys) {
      if (!KEY_ID.test(id)) throw new BackupError('INVALID', `key id: ${JSON.stringify(id)}`);
      if (secret.length !== KEY_BYTES) {
        const text = `key ${id}: ${secret.length} bytes where ${KEY_BYTES} are due`;
        throw new BackupError('INVALID', text);
      }
      this.keys.set(id, { id, secret });
    }
  }

  get ids(): readonly string[] {
    return [...this.keys.keys()];
  }

  get(id: string): BackupKey {
    const key = this.keys.get(id);
    if (!key) throw new BackupError('BACKUP_UNREADABLE', `there is no key ${id} here`);
    return key;
  }
}

/** 32 bytes as they are, or as text: 64 hex digits or base64. */
export function parseKey(id: string, content: Buffer): BackupKey {
  if (content.length === KEY_BYTES) return { id, secret: content };
  const text = content.toString('latin1').trim();
  if (/^[0-9a-f]{64}$/i.test(text)) return { id, secret: Buffer.from(text, 'hex') };
  return { id, secret: Buffer.from(text, 'base64') };
}

/** Proof that somebody with the key wrote this text. A key of its own, so that no cipher shares it. */
export function proofOf(key: BackupKey, text: string): string {
  const own = createHash('sha256').update('flotilla.backup.proof').update(key.secret).digest();
  return createHmac('sha256', own).update(text).digest('hex');
}
