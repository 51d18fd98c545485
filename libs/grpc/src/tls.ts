/**
 * What a listening socket needs for TLS, as settings.
 *
 * In: file names and rules from the configuration. Out: checked options for the listener.
 *
 * Must never hold key material: files are read where the socket is opened, and read again when
 * they change.
 */

/** Certificate, key and who may connect. All names are file names of PEM files. */
export interface ServerTlsOptions {
  readonly certFile: string;
  readonly keyFile: string;
  /** Authorities that client certificates must come from. Given, every client must show one. */
  readonly caFile?: string;
  /** Says the same aloud: without `caFile` it is refused, since nothing could be checked. */
  readonly clientCertAuth?: boolean;
  /** Only a client certificate with this common name. Not together with `allowedHostname`. */
  readonly allowedCn?: string;
  /** Only a client certificate made out to this host name. Not together with `allowedCn`. */
  readonly allowedHostname?: string;
}
