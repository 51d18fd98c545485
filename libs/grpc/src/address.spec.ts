/**
 * Addresses: every form that operators write, and what is said of those that are wrong.
 */
import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress } from './address.js';
import { GrpcError } from './errors.js';

describe('an address', () => {
  it.each([
    ['http://127.0.0.1:8443', { kind: 'tcp', secure: false, host: '127.0.0.1', port: 8443 }],
    ['https://node-1.example:0', { kind: 'tcp', secure: true, host: 'node-1.example', port: 0 }],
    ['http://[::1]:80', { kind: 'tcp', secure: false, host: '::1', port: 80 }],
    ['http://:8443', { kind: 'tcp', secure: false, host: '0.0.0.0', port: 8443 }],
    ['unix:///run/x.sock', { kind: 'unix', secure: false, path: '/run/x.sock' }],
    ['unixs:///run/x y.sock', { kind: 'unix', secure: true, path: '/run/x y.sock' }],
  ] as const)('%s has its parts and is written as it was', (text, parts) => {
    expect(parseAddress(text, 'api.address')).toEqual(parts);
    expect(formatAddress(parseAddress(text, 'api.address'))).toBe(
      text.replace('//:', '//0.0.0.0:'),
    );
  });

  it.each([
    '',
    '127.0.0.1:8443',
    'http://127.0.0.1',
    'http://127.0.0.1:99999',
    'http://127.0.0.1:80/path',
    'http://user@host:80',
    'tcp://127.0.0.1:80',
    'unix://relative/path',
    'unix:///run/folder/',
    `unix:///${'x'.repeat(120)}`,
  ])('"%s" is refused by the name of its setting', (text) => {
    let thrown: unknown;
    try {
      parseAddress(text, 'api.address');
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(GrpcError);
    expect((thrown as GrpcError).code).toBe('ADDRESS_INVALID');
    expect((thrown as GrpcError).message).toMatch(/^api\.address: ".*" is not an address: ./);
  });
});
