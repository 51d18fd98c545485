/** Which generation may be followed, as the catalog of the own cluster remembers it. */
import { applyV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { A, FakeNodes } from '../../test/support/fake-nodes.js';
import { CatalogGenerations } from './catalog-generations.js';

const NONE = { replicas: [], localTables: [], version: 0n };

function listed(fields: Partial<Omit<applyV1.ListReplicasResponse, 'version'>>): Uint8Array {
  return applyV1.ListReplicasResponse.encode({ ...NONE, ...fields }).finish();
}

function raised(generation: bigint, leaderClusterId: string): Uint8Array {
  return applyV1.RaiseGenerationResponse.encode({ generation, leaderClusterId }).finish();
}

function over(...answers: Uint8Array[]) {
  const nodes = new FakeNodes([A]).on(A, () => answers.splice(0, 1));
  return { nodes, generations: new CatalogGenerations(nodes.pool, nodes.clock) };
}

describe('the generation that was followed', () => {
  it('is what the catalog says, and none before the first one', async () => {
    const { generations } = over(listed({}), listed({ generation: 4n, leaderClusterId: 'l' }));
    expect(await generations.highest()).toEqual({ number: 0, clusterId: '' });
    expect(await generations.highest()).toEqual({ number: 4, clusterId: 'l' });
  });

  it('is none to go on from once the own cluster was promoted', async () => {
    const { generations } = over(listed({ generation: 5n, promoted: true }));
    await expect(generations.highest()).rejects.toThrow('this cluster was promoted');
  });

  it('is raised there, and refused where another gateway has followed another cluster', async () => {
    const { nodes, generations } = over(raised(2n, 'l'), raised(3n, 'm'), raised(2n, 'm'));
    await generations.remember({ number: 2, clusterId: 'l' });
    const [call] = nodes.calls;
    expect(applyV1.RaiseGenerationRequest.decode(call?.request ?? Buffer.alloc(0))).toEqual({
      generation: 2n,
      leaderClusterId: 'l',
    });
    const refused = 'was followed meanwhile';
    for (let nth = 0; nth < 2; nth++) {
      await expect(generations.remember({ number: 2, clusterId: 'l' })).rejects.toThrow(refused);
    }
  });
});
