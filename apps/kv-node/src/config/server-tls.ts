/**
 * TLS of a server, from its part of the configuration: the same for clients and for other nodes.
 */
import { type ServerTlsOptions } from '@flotilla/grpc';
import { type TlsConfig } from './kv-node-config.js';

/** Undefined when no certificate is set. */
export function serverTls(config: TlsConfig): ServerTlsOptions | undefined {
  if (config.certFilename === '') return undefined;
  return {
    certFile: config.certFilename,
    keyFile: config.keyFilename,
    clientCertAuth: config.clientCertAuth,
    ...(config.caFilename !== '' && { caFile: config.caFilename }),
    ...(config.allowedCommonName !== '' && { allowedCn: config.allowedCommonName }),
    ...(config.allowedHostname !== '' && { allowedHostname: config.allowedHostname }),
  };
}
