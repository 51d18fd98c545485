/**
 * The methods that Nest controllers may serve: by service and name, as `@GrpcMethod` gives them, each
 * with its path on the wire and its codecs.
 */

/** A method with its message types forgotten, as the strategy needs it. */
export interface GrpcControllerMethod {
  /** `/pkg.Service/Method`. */
  readonly path: string;
  readonly kind: 'unary' | 'server-stream';
  decode(bytes: Uint8Array): object;
  encode(message: object): Uint8Array;
}

/** `{ Tables: { Create: ... } }`. */
export type GrpcControllerMethods = Readonly<
  Record<string, Readonly<Record<string, GrpcControllerMethod>>>
>;

/** What a generated message module offers for reading. */
export interface MessageDecoder<T extends object> {
  decode(bytes: Uint8Array): T;
}

/** What a generated message module offers for writing. */
export interface MessageEncoder<T extends object> {
  encode(message: T): { finish(): Uint8Array };
  /** Fills in what a controller left out. */
  fromPartial(message: object): T;
}

export function grpcControllerMethod<Request extends object, Response extends object>(
  path: string,
  kind: GrpcControllerMethod['kind'],
  request: MessageDecoder<Request>,
  response: MessageEncoder<Response>,
): GrpcControllerMethod {
  return {
    path,
    kind,
    decode: (bytes) => request.decode(bytes),
    encode: (message) => response.encode(response.fromPartial(message)).finish(),
  };
}
