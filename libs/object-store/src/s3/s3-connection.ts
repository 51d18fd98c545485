/**
 * Commands on their way to a bucket.
 *
 * In: settings, and one command after another. Out: answers, or errors of the port; tried again
 * where the error says that this can help. The SDK's own tries are off: they know no scope.
 */
import { createHash } from 'node:crypto';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { type CallScope } from '../port/call-scope.js';
import { type Attempt, retrying } from '../port/retry.js';
import { toS3Error } from './s3-errors.js';
import { type S3Settings } from './s3-settings.js';

const CONNECT_MS_MAX = 10_000;

/** Carries a command out once; the signal ends it. */
export type SendOnce<T> = (client: S3Client, options: { abortSignal: AbortSignal }) => Promise<T>;

export class S3Connection {
  private readonly client: S3Client;

  constructor(readonly settings: S3Settings) {
    this.client = clientOf(settings);
  }

  /** Only for what may be carried out twice. */
  send<T>(scope: CallScope, what: string, once: SendOnce<T>): Promise<T> {
    return retrying(scope, this.settings, () => this.sendOnce(scope, what, once));
  }

  /** For what has to know whether it may have been carried out before. */
  sendKnowing<T>(scope: CallScope, work: (attempt: Attempt) => Promise<T>): Promise<T> {
    return retrying(scope, this.settings, work);
  }

  async sendOnce<T>(scope: CallScope, what: string, once: SendOnce<T>): Promise<T> {
    try {
      return await scope.within(once(this.client, { abortSignal: scope.signal }));
    } catch (error) {
      throw scope.reasonOr(toS3Error(error, what));
    }
  }

  /** What every new object is given besides its bytes. */
  get encryption(): {
    ServerSideEncryption?: 'AES256' | 'aws:kms';
    SSEKMSKeyId?: string;
  } {
    const { encryption } = this.settings;
    if (encryption === undefined) return {};
    if (encryption.kind === 'AES256') return { ServerSideEncryption: 'AES256' };
    const { keyId } = encryption;
    return {
      ServerSideEncryption: 'aws:kms',
      ...(keyId === undefined ? {} : { SSEKMSKeyId: keyId }),
    };
  }

  close(): void {
    this.client.destroy();
  }
}

function clientOf(settings: S3Settings): S3Client {
  const { region, endpoint, pathStyle, credentials } = settings;
  const config: S3ClientConfig = {
    region,
    forcePathStyle: pathStyle,
    maxAttempts: 1,
    // Newer checksums are refused, or worse, stored as bytes by many servers that speak S3.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_MS_MAX },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials: { ...credentials } }),
  };
  const client = new S3Client(config);
  sumDeletionsByMd5(client);
  return client;
}

interface BodyRequest {
  readonly headers: Record<string, string>;
  readonly body: unknown;
}

type Handler<In, Out> = (args: In) => Promise<Out>;

/** The checksum of `DeleteObjects` that every server knows is the oldest one. */
function sumDeletionsByMd5(client: S3Client): void {
  client.middlewareStack.addRelativeTo(
    <In, Out>(next: Handler<In, Out>, context: { commandName?: string }): Handler<In, Out> =>
      (args) => {
        const { request } = args as { request?: BodyRequest };
        if (context.commandName === 'DeleteObjectsCommand' && request !== undefined) {
          sumByMd5(request);
        }
        return next(args);
      },
    { relation: 'before', toMiddleware: 'httpSigningMiddleware', name: 'sumDeletionsByMd5' },
  );
}

function sumByMd5({ headers, body }: BodyRequest): void {
  for (const name of Object.keys(headers)) {
    if (/^x-amz-(?:sdk-checksum-algorithm|checksum-|trailer)/i.test(name)) delete headers[name];
  }
  if (typeof body === 'string' || body instanceof Uint8Array) {
    headers['content-md5'] = createHash('md5').update(body).digest('base64');
  }
}
