/**
 * The one error class of this library.
 *
 * Operating errors carry a stable `code` to branch on, whether the same call may be tried again,
 * and the `cause` underneath. Refused settings are not errors of this kind: they are data
 * (`ConfigProblem`), because all of them are shown at once.
 */
export const PLATFORM_ERROR_CODES = [
  /** Settings and configuration class of an app contradict each other: a defect of the app. */
  'CONFIG_SCHEMA',
  /** A value was asked for in a form that its text does not have. */
  'CONFIG_VALUE',
  /** Something was started, registered or closed out of order. */
  'LIFECYCLE_ORDER',
  /** A step did not finish before its deadline. */
  'DEADLINE',
  /** A Nest controller and the gRPC methods it should serve do not fit together. */
  'GRPC_BINDING',
] as const;

export type PlatformErrorCode = (typeof PLATFORM_ERROR_CODES)[number];

export class PlatformError extends Error {
  override readonly name = 'PlatformError';
  readonly code: PlatformErrorCode;
  readonly retryable: boolean;

  constructor(
    code: PlatformErrorCode,
    message: string,
    options: { retryable?: boolean; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}
