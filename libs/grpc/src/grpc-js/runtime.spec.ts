/**
 * The check of the library underneath.
 */
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { GrpcError } from '../errors.js';
import { adaptCallClass } from './runtime.js';

const internals = createRequire(import.meta.url)(
  '@grpc/grpc-js/build/src/server-interceptors.js',
) as Record<string, unknown>;

function refusal(version: string, module: Record<string, unknown>): string {
  try {
    adaptCallClass(version, module);
  } catch (error) {
    expect(error).toBeInstanceOf(GrpcError);
    expect((error as GrpcError).code).toBe('RUNTIME_MISMATCH');
    return (error as GrpcError).message;
  }
  return 'none';
}

describe('another inside of the library underneath', () => {
  it('is refused when the server is made, by what differs', () => {
    expect(refusal('1.14.9', internals)).toBe('none');
    expect(refusal('1.15.0', internals)).toContain('version 1.15.0');
    expect(refusal('2.14.0', internals)).toContain('version 2.14.0');
    expect(refusal('1.14.7', {})).toContain('the class of a call');
    class Changed {
      decompressMessage(message: Buffer): Buffer {
        return message;
      }
    }
    expect(refusal('1.14.7', { BaseServerInterceptingCall: Changed })).toContain(
      'decompressMessage',
    );
  });
});
