/**
 * A cluster that does what the test says: answers of the Cluster API from plain lists, which the test
 * may change between two looks, and all changes that were asked for.
 */
import { createGrpcJsServer, GrpcStatusError, status, type GrpcServer } from '@flotilla/grpc';
import { clusterV1 as v1, statusV1 } from '@flotilla/proto';

const quiet = { error: () => undefined, warn: () => undefined, info: () => undefined };

interface Message<T> {
  decode(bytes: Uint8Array): T;
}

export class FakeCluster {
  url = '';
  nodes: Partial<v1.Node>[] = [];
  placements: Partial<v1.Placement>[] = [];
  moves: Partial<v1.Move>[] = [];
  promotion: Partial<v1.PromoteResponse> = {};
  replication: Partial<statusV1.GetStatusResponse> = {};
  /** Told before each look at the cluster, with how many there were. */
  onLook: (looks: number) => void = () => undefined;
  /** Method and request of every call that was to change something. */
  readonly changes: [method: string, request: unknown][] = [];
  private looks = 0;
  private readonly server: GrpcServer = createGrpcJsServer({ logger: quiet });

  static async start(): Promise<FakeCluster> {
    const cluster = new FakeCluster();
    cluster.serveLooks();
    cluster.serveChanges();
    cluster.url = (await cluster.server.listen('http://127.0.0.1:0')).url;
    return cluster;
  }

  async close(): Promise<void> {
    await this.server.close({ graceMs: 0 });
  }

  private serveLooks(): void {
    this.serve('ListNodes', v1.ListNodesRequest, () => {
      this.onLook(++this.looks);
      const { nodes } = this;
      const answer = { clusterName: 'prod', clusterId: 'x-1', nodes };
      return v1.ListNodesResponse.encode(v1.ListNodesResponse.fromPartial(answer)).finish();
    });
    this.serve('ListPlacements', v1.ListPlacementsRequest, ({ table }) => {
      this.onLook(++this.looks);
      const placements = this.placements.filter((each) => table === '' || each.table === table);
      if (table !== '' && placements.length === 0) throw invalid('table not found');
      const answer = v1.ListPlacementsResponse.fromPartial({ placements });
      return v1.ListPlacementsResponse.encode(answer).finish();
    });
    const get = '/flotilla.replication.v1.ReplicationStatus/Get';
    this.server.register(get, 'unary', () => {
      this.onLook(++this.looks);
      const answer = statusV1.GetStatusResponse.fromPartial(this.replication);
      return statusV1.GetStatusResponse.encode(answer).finish();
    });
  }

  private serveChanges(): void {
    this.serve('AddNode', v1.AddNodeRequest, (request) => {
      this.changes.push(['AddNode', request]);
      const id = request.id || 4n;
      const initialMembers = `1=a:5012,2=b:5012,${id}=${request.raftAddress}`;
      const answer = v1.AddNodeResponse.fromPartial({ id, initialMembers });
      return v1.AddNodeResponse.encode(answer).finish();
    });
    this.serve('RemoveNode', v1.RemoveNodeRequest, (request) => {
      this.changes.push(['RemoveNode', request]);
      if (!this.nodes.some(({ id }) => id === request.id))
        throw invalid(`id ${request.id} is no member`);
      return new Uint8Array(0);
    });
    this.serve('DrainNode', v1.DrainNodeRequest, (request) => {
      this.changes.push(['DrainNode', request]);
      return new Uint8Array(0);
    });
    this.serve('Rebalance', v1.RebalanceRequest, (request) => {
      if (request.dryRun) this.onLook(++this.looks);
      else this.changes.push(['Rebalance', request]);
      const answer = v1.RebalanceResponse.fromPartial({ moves: this.moves });
      return v1.RebalanceResponse.encode(answer).finish();
    });
    this.serve('Promote', v1.PromoteRequest, (request) => {
      if (!request.dryRun) this.changes.push(['Promote', request]);
      const answer = v1.PromoteResponse.fromPartial(this.promotion);
      return v1.PromoteResponse.encode(answer).finish();
    });
    this.serve('TransferLeader', v1.TransferLeaderRequest, (request) => {
      this.changes.push(['TransferLeader', request]);
      const answer = v1.TransferLeaderResponse.fromPartial({ leader: request.to || 1n });
      return v1.TransferLeaderResponse.encode(answer).finish();
    });
  }

  private serve<T>(method: string, request: Message<T>, answer: (request: T) => Uint8Array): void {
    this.server.register(`/flotilla.cluster.v1.Cluster/${method}`, 'unary', (bytes) =>
      answer(request.decode(bytes)),
    );
  }
}

function invalid(text: string): GrpcStatusError {
  return new GrpcStatusError(status.INVALID_ARGUMENT, text);
}
