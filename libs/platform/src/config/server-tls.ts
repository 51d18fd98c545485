/**
 * How a server is secured, as settings: which certificate it shows, and whom it lets in.
 *
 * In: the name of a section, `api`. Out: its settings, the fields they are loaded into, and what the
 * gRPC library is given of them. The same for all servers of all apps.
 */
import { type ServerTlsOptions } from '@flotilla/grpc';
import { constraint, Flag, NeedsField, NotTogetherWith, Text } from './constraints.js';
import { type Setting } from './setting.js';

/** Certificates and who may connect: all servers are secured alike. */
export function tlsSettings(section: string, server: string): readonly Setting[] {
  return [
    {
      key: `${section}.cert-filename`,
      kind: 'path',
      default: '',
      description: `certificate of the ${server} (PEM)`,
    },
    {
      key: `${section}.key-filename`,
      kind: 'path',
      default: '',
      description: `private key of the ${server} (PEM)`,
    },
    {
      key: `${section}.ca-filename`,
      kind: 'path',
      default: '',
      description: 'authorities whose client certificates are trusted (PEM)',
    },
    {
      key: `${section}.client-cert-auth`,
      kind: 'bool',
      default: false,
      description: 'require a client certificate signed by a trusted authority',
    },
    {
      key: `${section}.allowed-cn`,
      kind: 'string',
      default: '',
      field: `${section}.allowedCommonName`,
      description: 'common name a client certificate must have',
    },
    {
      key: `${section}.allowed-hostname`,
      kind: 'string',
      default: '',
      description: 'host name a client certificate must be valid for',
    },
  ];
}

/** An address that promises TLS needs the certificate to keep the promise with. */
export function CertificateForTls(): PropertyDecorator {
  const message = 'needs {field:certFilename} and {field:keyFilename} to be set too';
  return constraint('certificateForTls', message, (value, siblings) => {
    const tls = typeof value === 'string' && /^(?:https|unixs):/.test(value);
    return !tls || (siblings['certFilename'] !== '' && siblings['keyFilename'] !== '');
  });
}

/** Fields of `tlsSettings`; the section of a server extends it. */
export class TlsConfig {
  @NeedsField('keyFilename') @Text() readonly certFilename: string = '';
  @NeedsField('certFilename') @Text() readonly keyFilename: string = '';
  @Text() readonly caFilename: string = '';
  @NeedsField('caFilename') @Flag() readonly clientCertAuth: boolean = false;
  @NotTogetherWith('allowedHostname') @Text() readonly allowedCommonName: string = '';
  @Text() readonly allowedHostname: string = '';
}

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
