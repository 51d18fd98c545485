/**
 * `regatta.v1.Cluster` on the port of backups: Regatta's tool asks there which tables there are.
 *
 * In: requests as they came. Out: answers of a node as they came, or its error.
 */
import { type GrpcServer } from '@flotilla/grpc';
import { type NodeWays } from '../nodes/node-ways.js';

const METHODS = ['/regatta.v1.Cluster/Status', '/regatta.v1.Cluster/MemberList'];
const CALL_MS = 5_000;

export class PassedCluster {
  constructor(private readonly ways: Pick<NodeWays, 'call'>) {}

  register(server: GrpcServer): void {
    for (const method of METHODS) {
      server.register(method, 'unary', (bytes) => this.ways.call(method, bytes, CALL_MS));
    }
  }
}
