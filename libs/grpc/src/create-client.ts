/**
 * Makes the client that the project uses.
 *
 * In: one address, or several that serve the same; options. Out: the client over this library's own
 * HTTP/2, or, if `transport` asks for it, the one over grpc-js, which takes a single address.
 */
import { type ListenAddress } from './address.js';
import { type GrpcClient, type GrpcClientOptions } from './client.js';
import { GrpcError } from './errors.js';
import { createGrpcJsClient } from './grpc-js/client.js';
import { createNativeClient, type ClientAddresses } from './native/client.js';

/** Throws GrpcError for addresses and TLS settings that cannot be. */
export function createGrpcClient(
  address: ClientAddresses,
  options: GrpcClientOptions = {},
): GrpcClient {
  if (options.transport !== 'grpc-js') return createNativeClient(address, options);
  const [first, ...others] = several(address);
  if (first === undefined || others.length > 0) {
    throw new GrpcError('ADDRESS_INVALID', 'the client over grpc-js takes one address');
  }
  return createGrpcJsClient(first, options);
}

function several(address: ClientAddresses): readonly (ListenAddress | string)[] {
  return typeof address === 'string' || 'kind' in address ? [address] : address;
}
