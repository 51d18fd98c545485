/** Public face of the TypeScript client. */
export { ClientError, toClientError } from './client-error.js';
export { FlotillaClient, type FlotillaClientOptions } from './flotilla-client.js';
export * from './types.js';
