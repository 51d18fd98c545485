/**
 * Unary methods of one service over decoded messages.
 *
 * In: a gRPC server, the name of a service. Out: what registers a method of it: bytes are decoded, what it
 * answers is encoded. What is not a message never gets to it.
 */
import { type GrpcServer } from '@flotilla/grpc';
import { malformed } from './errors.js';

export interface Codec<T> {
  decode(bytes: Uint8Array): T;
  encode(message: T): { finish(): Uint8Array };
}

export type TypedUnary = <Q, A>(
  method: string,
  codecs: readonly [Codec<Q>, Codec<A>],
  handle: (request: Q) => A | Promise<A>,
) => void;

export function typedUnary(server: GrpcServer, service: string): TypedUnary {
  return (method, [request, response], handle) => {
    server.register(`/${service}/${method}`, 'unary', async (bytes: Buffer) =>
      response.encode(await handle(decoded(request, bytes))).finish(),
    );
  };
}

export function decoded<T>(codec: Codec<T>, bytes: Buffer): T {
  try {
    return codec.decode(bytes);
  } catch (error) {
    throw malformed(error);
  }
}
