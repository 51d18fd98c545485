/**
 * The highest generation that was followed, in the catalog of the own cluster: all its gateways know it, and
 * so does whoever is started later.
 *
 * In: what a leader cluster says of itself. Out: whether that is remembered. A cluster that was promoted
 * follows nobody any more, whatever generation is offered.
 */
import { applyV1 } from '@flotilla/proto';
import { type GatewayClock } from '../gateway-clock.js';
import { type NodePool } from '../nodes/node-pool.js';
import { GenerationRefusedError } from './link/generations.js';
import { NodeCalls } from './node-calls.js';
import { type Generation, type Generations } from './ports.js';

const SERVICE = '/flotilla.replication.v1.ReplicaApply';
const RULES = { deadlineMs: 5_000, attemptMs: 1_500, isRepeatable: true };

export class CatalogGenerations implements Generations {
  private readonly nodes: NodeCalls;

  constructor(pool: NodePool, clock: Pick<GatewayClock, 'nowMs'>) {
    this.nodes = new NodeCalls(pool, clock);
  }

  async highest(): Promise<Generation> {
    const codecs = [applyV1.ListReplicasRequest, applyV1.ListReplicasResponse] as const;
    const list = await this.nodes.call(`${SERVICE}/ListReplicas`, codecs, {}, RULES);
    if (list.promoted === true) {
      throw new GenerationRefusedError('this cluster was promoted: it is a leader cluster itself');
    }
    const { generation = 0n, leaderClusterId: clusterId = '' } = list;
    return { number: Number(generation), clusterId };
  }

  /** Rejects where another gateway has meanwhile followed another leader cluster. */
  async remember({ number, clusterId }: Generation): Promise<void> {
    const codecs = [applyV1.RaiseGenerationRequest, applyV1.RaiseGenerationResponse] as const;
    const request = { generation: BigInt(number), leaderClusterId: clusterId };
    const now = await this.nodes.call(`${SERVICE}/RaiseGeneration`, codecs, request, RULES);
    if (now.generation === BigInt(number) && now.leaderClusterId === clusterId) return;
    const { generation, leaderClusterId } = now;
    const text = `generation ${generation} of cluster "${leaderClusterId}" was followed meanwhile`;
    throw new GenerationRefusedError(text);
  }
}
