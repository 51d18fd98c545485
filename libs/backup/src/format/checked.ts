/**
 * Objects from outside become classes here, or an error that names the field.
 *
 * In: parsed JSON and a class with decorators of class-validator. Out: an instance. A field that the
 * class does not know is refused too: a newer program has written it.
 */
import 'reflect-metadata';
import { plainToInstance } from 'class-transformer';
import { type ValidationError, validateSync } from 'class-validator';
import { BackupError } from '../backup-error.js';

export function checked<T extends object>(type: new () => T, plain: object, object: string): T {
  const instance = plainToInstance(type, plain);
  const errors = validateSync(instance, { whitelist: true, forbidNonWhitelisted: true });
  const [first] = errors;
  if (first) throw new BackupError('BACKUP_UNREADABLE', `${object}: ${describe(first)}`);
  return instance;
}

function describe(error: ValidationError): string {
  const path: string[] = [];
  for (let at: ValidationError | undefined = error; at; at = at.children?.[0]) {
    path.push(at.property);
    const [message] = Object.values(at.constraints ?? {});
    if (message !== undefined) return `field ${path.join('.')}: ${message}`;
  }
  return `field ${path.join('.')}`;
}
