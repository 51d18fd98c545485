/**
 * The decorators configuration classes are written with: class-validator constraints whose messages
 * say what is expected, in the words a user of the settings knows.
 */
import 'reflect-metadata';
import {
  IsBoolean,
  IsIn,
  IsInt,
  IsObject,
  IsString,
  Max,
  Min,
  ValidateBy,
  type ValidationArguments,
} from 'class-validator';
import { type AddressScheme, GrpcError, parseAddress } from '@flotilla/grpc';
import { parseHostPort } from './address.js';
import { formatDuration } from './duration.js';
import { isRecord } from './convert.js';

/** Any text. */
export function Text(): PropertyDecorator {
  return IsString({ message: 'expected text' });
}

/** Text that is not empty. */
export function RequiredText(what = 'a value'): PropertyDecorator {
  return constraint('requiredText', `expected ${what}`, (value) => {
    return typeof value === 'string' && value.trim() !== '';
  });
}

export function Flag(): PropertyDecorator {
  return IsBoolean({ message: 'expected true or false' });
}

export function OneOf(values: readonly string[]): PropertyDecorator {
  const listed = values.filter((value) => value !== '').join(', ');
  return IsIn(values, { message: `expected one of ${listed}` });
}

export function IntegerBetween(min: number, max: number): PropertyDecorator {
  const message = `expected an integer from ${min} to ${max}`;
  return all(IsInt({ message }), Min(min, { message }), Max(max, { message }));
}

export function IntegerAtLeast(min: number): PropertyDecorator {
  const message = `expected an integer of at least ${min}`;
  return all(IsInt({ message }), Min(min, { message }));
}

export function DurationBetween(minMs: number, maxMs: number): PropertyDecorator {
  const range = `${formatDuration(minMs)} to ${formatDuration(maxMs)}`;
  return constraint('durationBetween', `expected a duration from ${range}`, (value) => {
    return typeof value === 'number' && value >= minMs && value <= maxMs;
  });
}

const SERVICE_SCHEMES: readonly AddressScheme[] = ['http', 'https', 'unix', 'unixs'];

/** `http://host:port` and its kind: what the gRPC library can listen on. */
export function ServiceUrl(schemes: readonly AddressScheme[] = SERVICE_SCHEMES): PropertyDecorator {
  const forms = schemes.map((scheme) =>
    scheme.startsWith('unix') ? `${scheme}:///path` : `${scheme}://host:port`,
  );
  return constraint('serviceUrl', `expected ${forms.join(' or ')}`, (value) => {
    return (
      typeof value === 'string' &&
      isServiceAddress(value) &&
      schemes.some((scheme) => value.startsWith(`${scheme}://`))
    );
  });
}

/** Addresses of servers that serve the same: one at least, unless there need not be any. */
export function ServiceUrlList(options: { readonly optional?: boolean } = {}): PropertyDecorator {
  const message = 'expected one or more of http://host:port, https://host:port, unix:///path';
  return constraint('serviceUrlList', message, (value) => {
    return (
      Array.isArray(value) &&
      (value.length > 0 || options.optional === true) &&
      value.every((item) => typeof item === 'string' && isServiceAddress(item))
    );
  });
}

export interface HostPortOptions {
  /** An empty text stands for "not set". */
  readonly optional?: boolean;
  /** `:5012` is an address to listen on, but not one to be reached at. */
  readonly hostRequired?: boolean;
}

export function HostAndPort(options: HostPortOptions = {}): PropertyDecorator {
  return constraint('hostAndPort', 'expected host:port', (value) => {
    return typeof value === 'string' && isHostPort(value, options);
  });
}

export function HostAndPortList(): PropertyDecorator {
  return constraint('hostAndPortList', 'expected a list of host:port', (value) => {
    return (
      Array.isArray(value) &&
      value.every((item) => typeof item === 'string' && isHostPort(item, { hostRequired: true }))
    );
  });
}

export function TextList(): PropertyDecorator {
  return constraint('textList', 'expected a list', (value) => {
    return Array.isArray(value) && value.every((item) => typeof item === 'string');
  });
}

/** Addresses by a positive number, e.g. the members of a cluster by node id. */
export function AddressesByNumber(): PropertyDecorator {
  const message = 'expected number=host:port pairs or a list of host:port, each address once';
  const check = constraint('addressesByNumber', message, (value) => {
    if (!isRecord(value)) return false;
    const addresses = Object.values(value);
    if (new Set(addresses).size !== addresses.length) return false;
    return Object.entries(value).every(([id, address]) => {
      const wellFormed = /^[1-9]\d*$/.test(id) && Number.isSafeInteger(Number(id));
      return (
        wellFormed && typeof address === 'string' && isHostPort(address, { hostRequired: true })
      );
    });
  });
  return all(IsObject({ message }), check);
}

/** This and the other may not both be set. */
export function NotTogetherWith(other: string): PropertyDecorator {
  const message = `cannot be set together with {field:${other}}`;
  return constraint('notTogetherWith', message, (value, siblings) => {
    return isUnset(value) || isUnset(siblings[other]);
  });
}

/** Where this is set, the other must be too. */
export function NeedsField(other: string): PropertyDecorator {
  return constraint('needsField', `needs {field:${other}} to be set too`, (value, siblings) => {
    return isUnset(value) || !isUnset(siblings[other]);
  });
}

export function GreaterThanField(other: string): PropertyDecorator {
  const message = `expected more than {field:${other}}`;
  return constraint('greaterThanField', message, (value, siblings) => {
    const bound = siblings[other];
    return typeof value === 'number' && typeof bound === 'number' && value > bound;
  });
}

export type SiblingFields = Readonly<Record<string, unknown>>;

/** A constraint of one's own; `siblings` are the other fields of the same section. */
export function constraint(
  name: string,
  message: string,
  holds: (value: unknown, siblings: SiblingFields) => boolean,
): PropertyDecorator {
  return ValidateBy(
    {
      name,
      validator: {
        validate: (value: unknown, given?: ValidationArguments) =>
          holds(value, (given?.object ?? {}) as SiblingFields),
      },
    },
    { message },
  );
}

function isUnset(value: unknown): boolean {
  return value === undefined || value === '' || value === false;
}

function isServiceAddress(text: string): boolean {
  try {
    parseAddress(text, '');
    return true;
  } catch (error) {
    if (error instanceof GrpcError) return false;
    throw error;
  }
}

function isHostPort(text: string, options: HostPortOptions): boolean {
  if (text === '') return options.optional === true;
  const parsed = parseHostPort(text);
  return parsed !== undefined && (parsed.host !== '' || options.hostRequired !== true);
}

function all(...decorators: readonly PropertyDecorator[]): PropertyDecorator {
  return (target, property) => {
    for (const decorate of decorators) decorate(target, property);
  };
}
