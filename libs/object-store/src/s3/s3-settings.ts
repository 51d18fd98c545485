/**
 * What an S3 store is told: checked where it comes from (config/), taken as it is here.
 */
export interface S3Settings {
  readonly bucket: string;
  /** In front of every key: empty, or ending in a slash. */
  readonly prefix: string;
  readonly region: string;
  /** Of a server that is not Amazon's. */
  readonly endpoint?: string;
  /** The bucket in the path instead of the host name. */
  readonly pathStyle: boolean;
  /** Without them the usual chain: environment, shared files, the machine's or the pod's role. */
  readonly credentials?: S3Credentials;
  readonly encryption?: S3Encryption;
  /** Whether the server honours `If-None-Match: *`; `probe` asks it once, by writing. */
  readonly conditionalWrites: 'probe' | 'yes' | 'no';
  readonly partBytes: number;
  readonly partsInFlight: number;
  readonly attemptsMax?: number;
  readonly backoffMsMin?: number;
}

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export type S3Encryption =
  { readonly kind: 'AES256' } | { readonly kind: 'aws:kms'; readonly keyId?: string };
