/**
 * The certificates of a listening socket, as they are on disk now.
 *
 * In: file names and rules. Out: a secure context, remade when a file has changed, and the verdict
 * on a client's certificate. Files are looked at when somebody connects, so a renewed certificate is
 * used by the next connection and an idle server does nothing.
 *
 * Must never replace a working context by files that do not fit together: the error is logged and
 * the old context serves on. The first load has no such fallback: it throws.
 */
import { type X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import {
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  type TLSSocket,
} from 'node:tls';
import { GrpcError } from '../errors.js';
import { type ServerTlsOptions } from '../tls.js';
import { type GrpcLogger } from '../transport.js';

export class TlsMaterial {
  #context: SecureContextOptions = {};
  #fingerprint = '';
  #refreshing: Promise<SecureContextOptions> | undefined;

  private constructor(
    private readonly options: ServerTlsOptions,
    private readonly logger: GrpcLogger,
  ) {}

  static async load(options: ServerTlsOptions, logger: GrpcLogger): Promise<TlsMaterial> {
    checkRules(options);
    const material = new TlsMaterial(options, logger);
    await material.#read(await material.#fingerprintNow());
    return material;
  }

  /** Whether clients must show a certificate. An authority to check them by asks for it as well. */
  get wantsClientCertificate(): boolean {
    return this.options.clientCertAuth === true || isSet(this.options.caFile);
  }

  /** The options of the newest context that works. Concurrent callers share one look at the disk. */
  current(): Promise<SecureContextOptions> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /** Whether a client whose certificate has been verified is one that is let in. */
  allows(socket: TLSSocket): boolean {
    const { allowedCn, allowedHostname } = this.options;
    if (!isSet(allowedCn) && !isSet(allowedHostname)) {
      return true;
    }
    const peer = socket.getPeerX509Certificate();
    if (peer === undefined || !socket.authorized) {
      return false;
    }
    return isSet(allowedCn)
      ? commonName(peer) === allowedCn
      : isSet(allowedHostname) && madeOutTo(peer, allowedHostname);
  }

  async #refresh(): Promise<SecureContextOptions> {
    try {
      const fingerprint = await this.#fingerprintNow();
      if (fingerprint !== this.#fingerprint) {
        await this.#read(fingerprint);
        this.logger.info({ cert: this.options.certFile }, 'certificates were read again');
      }
    } catch (error) {
      this.logger.error(
        { err: error, cert: this.options.certFile },
        'changed certificates cannot be used, the old ones stay',
      );
    }
    return this.#context;
  }

  /** Changes when any of the files does. */
  async #fingerprintNow(): Promise<string> {
    const { certFile, keyFile, caFile } = this.options;
    const marks = [certFile, keyFile, caFile].filter(isSet).map(async (file) => {
      const { ino, size, mtimeNs } = await stat(file, { bigint: true }).catch((error: unknown) => {
        throw unreadable(file, error);
      });
      return `${ino}:${size}:${mtimeNs}`;
    });
    return (await Promise.all(marks)).join(' ');
  }

  async #read(fingerprint: string): Promise<void> {
    const { certFile, keyFile, caFile } = this.options;
    const context: SecureContextOptions = {
      cert: await readText(certFile),
      key: await readText(keyFile),
      minVersion: 'TLSv1.2',
      ...(isSet(caFile) ? { ca: await readText(caFile) } : {}),
    };
    tryContext(context, this.options);
    this.#context = context;
    this.#fingerprint = fingerprint;
  }
}

function isSet(text: string | undefined): text is string {
  return text !== undefined && text !== '';
}

function checkRules(options: ServerTlsOptions): void {
  const { certFile, keyFile, caFile, clientCertAuth, allowedCn, allowedHostname } = options;
  const refuse = (text: string): never => {
    throw new GrpcError('TLS_INVALID', text);
  };
  if (!isSet(certFile) || !isSet(keyFile)) {
    refuse('TLS needs both a certificate file and a key file');
  }
  if (isSet(allowedCn) && isSet(allowedHostname)) {
    refuse('allowed CN and allowed hostname are mutually exclusive');
  }
  if (!isSet(caFile) && clientCertAuth === true) {
    refuse('client certificates cannot be checked without a CA file');
  }
  if (!isSet(caFile) && (isSet(allowedCn) || isSet(allowedHostname))) {
    refuse('an allowed CN or hostname needs a CA file that client certificates are checked by');
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): GrpcError {
  const reason = error instanceof Error ? error.message : String(error);
  return new GrpcError('TLS_INVALID', `${file} cannot be read: ${reason}`, { cause: error });
}

/** Throws when certificate, key and authorities are not what they should be together. */
function tryContext(context: SecureContextOptions, options: ServerTlsOptions): SecureContext {
  try {
    return createSecureContext(context);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const text = `${options.certFile} and ${options.keyFile} cannot be used: ${reason}`;
    throw new GrpcError('TLS_INVALID', text, { cause: error });
  }
}

function commonName(certificate: X509Certificate): string | undefined {
  const line = certificate.subject.split('\n').find((part) => part.startsWith('CN='));
  return line?.slice('CN='.length);
}

/** By the alternative names alone: a common name is no host name any more. */
function madeOutTo(certificate: X509Certificate, host: string): boolean {
  return isIP(host) === 0
    ? certificate.checkHost(host, { subject: 'never' }) !== undefined
    : certificate.checkIP(host) !== undefined;
}
