/**
 * The public face of the library.
 */
export * from './address.js';
export * from './errors.js';
export * from './metadata.js';
export * from './status.js';
export * from './tls.js';
export * from './transport.js';
