/**
 * How a client makes sure whom it talks to, as settings: which authorities it trusts, which certificate it
 * shows.
 *
 * In: the name of a section, `cluster`. Out: its settings, the fields they are loaded into, and what the
 * gRPC library is given of them. An address without TLS needs none of it.
 */
import { type ClientTlsOptions } from '@flotilla/grpc';
import { NeedsField, Text } from './constraints.js';
import { type Setting } from './setting.js';

/** `server` completes "certificate of": `the maintenance app`. */
export function clientTlsSettings(section: string, server: string): readonly Setting[] {
  return [
    {
      key: `${section}.ca-filename`,
      kind: 'path',
      default: '',
      description: `authorities that the certificate of ${server} is signed by (PEM)`,
    },
    {
      key: `${section}.cert-filename`,
      kind: 'path',
      default: '',
      description: `certificate to show to ${server} (PEM)`,
    },
    {
      key: `${section}.key-filename`,
      kind: 'path',
      default: '',
      description: 'private key of that certificate (PEM)',
    },
    {
      key: `${section}.server-name`,
      kind: 'string',
      default: '',
      description: `name in the certificate of ${server}, where it is not that of the address`,
    },
  ];
}

/** Fields of `clientTlsSettings`; a section extends it. */
export class ClientTlsConfig {
  @Text() readonly caFilename: string = '';
  @NeedsField('keyFilename') @Text() readonly certFilename: string = '';
  @NeedsField('certFilename') @Text() readonly keyFilename: string = '';
  @Text() readonly serverName: string = '';
}

/** Undefined where none of the addresses promises TLS. */
export function clientTls(
  { caFilename, certFilename, keyFilename, serverName }: ClientTlsConfig,
  addresses: readonly string[],
): ClientTlsOptions | undefined {
  if (!addresses.some((address) => /^(?:https|unixs):/.test(address))) return undefined;
  return {
    ...(caFilename !== '' && { caFile: caFilename }),
    ...(certFilename !== '' && { certFile: certFilename, keyFile: keyFilename }),
    ...(serverName !== '' && { serverName }),
  };
}
