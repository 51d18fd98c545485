/**
 * Server reflection, v1 and v1alpha, on any `GrpcServer`.
 *
 * In: a serialized `google.protobuf.FileDescriptorSet` of the services the app may serve. Out: answers
 * that list the services that are registered, and describe them by the very files given.
 *
 * Must never list a service that the server does not answer.
 */
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { protoPath as healthProtoPath } from 'grpc-health-check';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { GrpcError } from './errors.js';
import { serviceHost } from './service-adapter.js';
import { type GrpcServer } from './transport.js';

const REFLECTION_SERVICES = [
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
];

/** To be called when everything else is registered: later services are not listed. */
export function addReflectionService(server: GrpcServer, descriptorSet: Uint8Array): void {
  const files = [...splitDescriptorSet(Buffer.from(descriptorSet)), ...standardFiles()];
  const services = [...new Set(server.methods().map(({ service }) => service))];
  // The shape that proto-loader gives; the service reads nothing but the files.
  const definition = { files: { fileDescriptorProtos: files } } as unknown as ConstructorParameters<
    typeof ReflectionService
  >[0];
  const reflection = new ReflectionService(definition, {
    services: [...services, ...REFLECTION_SERVICES],
  });
  reflection.addToServer(serviceHost(server));
}

/** The files of health and of reflection itself. */
function standardFiles(): Buffer[] {
  const root = dirname(createRequire(import.meta.url).resolve('@grpc/reflection/package.json'));
  const protos = [
    healthProtoPath,
    join(root, 'build/proto/grpc/reflection/v1/reflection.proto'),
    join(root, 'build/proto/grpc/reflection/v1alpha/reflection.proto'),
  ];
  return protos.flatMap((proto) => {
    // Every message type of a loaded file carries the files; services do not.
    for (const entry of Object.values(loadSync(proto))) {
      const files = entry['fileDescriptorProtos'];
      if (Array.isArray(files)) {
        return files;
      }
    }
    return [];
  });
}

/** The files of a set: its field 1, repeated and length-delimited. */
function splitDescriptorSet(set: Buffer): Buffer[] {
  const FILE_TAG = 0x0a;
  const files: Buffer[] = [];
  let at = 0;
  while (at < set.length) {
    if (set[at] !== FILE_TAG) {
      throw new GrpcError('METHOD_INVALID', 'the descriptor set holds something else than files');
    }
    at += 1;
    let length = 0;
    let byte: number;
    let shift = 0;
    do {
      byte = set[at] ?? 0;
      length += (byte & 0x7f) * 2 ** shift;
      shift += 7;
      at += 1;
    } while (byte >= 0x80 && shift < 35);
    if (at + length > set.length) {
      throw new GrpcError('METHOD_INVALID', 'the descriptor set is cut short');
    }
    files.push(set.subarray(at, at + length));
    at += length;
  }
  return files;
}
