import { createGrpcJsServer, GrpcStatusError, status, type GrpcServer } from '@flotilla/grpc';
import { clusterV1 as v1 } from '@flotilla/proto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FlotillaClient } from './flotilla-client.js';

const quiet = { error: () => undefined, warn: () => undefined, info: () => undefined };

interface Message<T> {
  decode(bytes: Uint8Array): T;
}

describe('the calls of the Cluster API', () => {
  let server: GrpcServer;
  let client: FlotillaClient;
  const received: [method: string, request: unknown][] = [];
  let failures = 0;

  function serve<T>(method: string, request: Message<T>, answer: Uint8Array): void {
    server.register(`/flotilla.cluster.v1.Cluster/${method}`, 'unary', (bytes) => {
      received.push([method, request.decode(bytes)]);
      if (failures-- > 0) throw new GrpcStatusError(status.UNAVAILABLE, 'busy');
      return answer;
    });
  }

  beforeEach(async () => {
    received.length = 0;
    failures = 0;
    server = createGrpcJsServer({ logger: quiet });
    const node = { id: 3n, name: 'c', raftAddress: 'c:5012', state: 'active', alive: true };
    const nodes = v1.ListNodesResponse.fromPartial({
      clusterName: 'prod',
      clusterId: 'x-1',
      nodes: [{ ...node, replicas: 7n, preferredLeaders: 2n, catalogRole: 'voter' }],
    });
    serve('ListNodes', v1.ListNodesRequest, v1.ListNodesResponse.encode(nodes).finish());
    const placement = { table: 't', id: 10_001n, replicas: [1n, 2n, 3n], movingFrom: [4n] };
    const placements = v1.ListPlacementsResponse.fromPartial({
      placements: [{ ...placement, preferredLeader: 2n, leader: 1n }],
    });
    const encoded = v1.ListPlacementsResponse.encode(placements).finish();
    serve('ListPlacements', v1.ListPlacementsRequest, encoded);
    const added = v1.AddNodeResponse.fromPartial({ id: 4n, initialMembers: '1=a:1,4=d:1' });
    serve('AddNode', v1.AddNodeRequest, v1.AddNodeResponse.encode(added).finish());
    serve('RemoveNode', v1.RemoveNodeRequest, new Uint8Array(0));
    serve('DrainNode', v1.DrainNodeRequest, new Uint8Array(0));
    const moves = v1.RebalanceResponse.fromPartial({
      moves: [{ table: 't', from: [1n, 2n], to: [2n, 3n], preferredLeader: 3n }],
    });
    serve('Rebalance', v1.RebalanceRequest, v1.RebalanceResponse.encode(moves).finish());
    const led = v1.TransferLeaderResponse.fromPartial({ leader: 2n });
    const leader = v1.TransferLeaderResponse.encode(led).finish();
    serve('TransferLeader', v1.TransferLeaderRequest, leader);
    const { url } = await server.listen('http://127.0.0.1:0');
    client = new FlotillaClient({ endpoints: [url] });
  });
  afterEach(async () => {
    client.close();
    await server.close({ graceMs: 0 });
  });

  it('nodes and placements come back with plain numbers', async () => {
    const { clusterName, clusterId, nodes } = await client.cluster.listNodes();
    expect([clusterName, clusterId, nodes.length]).toEqual(['prod', 'x-1', 1]);
    expect(nodes[0]).toMatchObject({ id: 3, replicas: 7, preferredLeaders: 2, alive: true });
    expect(await client.cluster.listPlacements('t')).toEqual([
      {
        table: 't',
        id: 10_001,
        replicas: [1, 2, 3],
        movingFrom: [4],
        preferredLeader: 2,
        leader: 1,
      },
    ]);
    expect(received[1]).toEqual(['ListPlacements', { table: 't' }]);
  });

  it('changes are sent as they were asked for, with what is absent as zero', async () => {
    const { cluster } = client;
    expect(await cluster.addNode({ raftAddress: 'd:1' })).toEqual({
      id: 4,
      initialMembers: '1=a:1,4=d:1',
    });
    await cluster.addNode({ raftAddress: 'd:1', id: 9, name: 'd', replaces: 2 });
    await cluster.removeNode(3);
    await cluster.drainNode(3);
    await cluster.drainNode(3, true);
    expect(await cluster.rebalance()).toEqual([
      { table: 't', from: [1, 2], to: [2, 3], preferredLeader: 3 },
    ]);
    expect(await cluster.transferLeader('t')).toBe(2);
    await cluster.transferLeader('t', 2);
    expect(received).toEqual([
      ['AddNode', { raftAddress: 'd:1', id: 0n, name: '', replaces: 0n }],
      ['AddNode', { raftAddress: 'd:1', id: 9n, name: 'd', replaces: 2n }],
      ['RemoveNode', { id: 3n }],
      ['DrainNode', { id: 3n, undo: false }],
      ['DrainNode', { id: 3n, undo: true }],
      ['Rebalance', { dryRun: false }],
      ['TransferLeader', { table: 't', to: 0n }],
      ['TransferLeader', { table: 't', to: 2n }],
    ]);
  });

  const READS: Record<string, (client: FlotillaClient) => Promise<unknown>> = {
    listNodes: ({ cluster }) => cluster.listNodes(),
    listPlacements: ({ cluster }) => cluster.listPlacements(),
    'rebalance, dry': ({ cluster }) => cluster.rebalance(true),
  };
  const CHANGES: typeof READS = {
    addNode: ({ cluster }) => cluster.addNode({ raftAddress: 'd:1' }),
    removeNode: ({ cluster }) => cluster.removeNode(3),
    drainNode: ({ cluster }) => cluster.drainNode(3),
    rebalance: ({ cluster }) => cluster.rebalance(),
    transferLeader: ({ cluster }) => cluster.transferLeader('t', 2),
  };

  it.each(Object.entries(READS))('%s is asked again while Unavailable', async (_name, call) => {
    failures = 2;
    await call(client);
    expect(received).toHaveLength(3);
  });

  it.each(Object.entries(CHANGES))(
    '%s is sent once, whatever became of it',
    async (_name, call) => {
      failures = 1;
      await expect(call(client)).rejects.toMatchObject({ code: 'UNAVAILABLE', message: 'busy' });
      expect(received).toHaveLength(1);
    },
  );
});
