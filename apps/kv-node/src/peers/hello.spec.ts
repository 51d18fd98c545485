import { describe, expect, it } from 'vitest';
import { GrpcStatusError, status, type MetadataEntries } from '@flotilla/grpc';
import {
  helloMetadata,
  PEER_PROTOCOL_VERSION,
  readHello,
  refusalError,
  refusalOf,
  whyRefused,
  type Hello,
  type KnownNode,
  type PeerDirectory,
  type PeerIdentity,
} from './hello.js';

const own: PeerIdentity = {
  clusterName: 'east',
  clusterId: 'c-1',
  nodeId: 1,
  identity: 'i-1',
  joined: false,
};

const known: Record<number, KnownNode> = {
  2: { address: 'b:5012', identity: 'i-2', removed: false, joining: false },
  3: { address: 'c:5012', identity: 'i-3', removed: true, joining: false },
  4: { address: 'd:5012', identity: '', removed: false, joining: true },
};
const directory: PeerDirectory = { find: (id) => known[id], others: () => [2, 4] };

const hello: Hello = {
  clusterName: 'east',
  clusterId: 'c-1',
  nodeId: 2,
  identity: 'i-2',
  joined: false,
  version: PEER_PROTOCOL_VERSION,
  versionMin: PEER_PROTOCOL_VERSION,
  to: 1,
};

function received(entries: MetadataEntries) {
  return {
    get: (name: string) => entries[name] as string | undefined,
    getAll: () => [],
    names: () => Object.keys(entries),
  };
}

describe('a hello', () => {
  it('comes over as it was sent, whatever the cluster is called', () => {
    for (const clusterName of ['east', 'größe & Co', '%41', '']) {
      const from = { ...own, clusterName, joined: true };
      expect(readHello(received(helloMetadata(from, 9)))).toEqual({
        ...from,
        version: 1,
        versionMin: 1,
        to: 9,
      });
    }
  });

  it('of a member is accepted, also while one of both does not know the id of the cluster', () => {
    expect(whyRefused(hello, own, directory)).toBeUndefined();
    expect(whyRefused({ ...hello, clusterId: '' }, own, directory)).toBeUndefined();
    expect(whyRefused(hello, { ...own, clusterId: '' }, directory)).toBeUndefined();
    const joining = { ...hello, nodeId: 4, identity: 'new', joined: true, clusterId: '' };
    expect(whyRefused(joining, own, directory)).toBeUndefined();
  });

  it.each([
    [undefined, 'malformed', 'does not say which node'],
    [{ version: 0, versionMin: 0 }, 'version', 'node 2 speaks peer protocol 0 to 0, node 1 1 to 1'],
    [{ version: 9, versionMin: 7 }, 'version', 'peer protocol 7 to 9'],
    [{ clusterName: 'west' }, 'cluster-name', 'node 2 belongs to cluster "west", node 1 to "east"'],
    [{ clusterId: 'c-2' }, 'cluster-id', 'two clusters are called "east"'],
    [{ to: 5 }, 'target', 'this is node 1, not node 5'],
    [{ nodeId: 1 }, 'self', 'two nodes were given the same'],
    [{ nodeId: 9 }, 'unknown', 'node 9 is not a member of cluster "east"'],
    [{ nodeId: 3, identity: 'i-3' }, 'removed', 'node 3 was removed from cluster "east"'],
    [{ identity: 'other' }, 'identity', 'another data folder than the node 2 of this cluster'],
    [{ identity: '' }, 'identity', 'another data folder'],
    [{ nodeId: 4, identity: 'new' }, 'founding', 'raft.join=true'],
  ] as const)('%j is refused as %s, by name', (fields, kind, reason) => {
    const given = fields && { ...hello, ...fields };
    const refusal = whyRefused(given, own, directory);
    expect(refusal?.kind).toBe(kind);
    expect(refusal?.reason).toContain(reason);
  });

  it('that was refused is told apart from other failures', () => {
    const refusal = { kind: 'identity', reason: 'because' } as const;
    expect(refusalOf(refusalError(refusal))).toEqual(refusal);
    const other = new GrpcStatusError(status.FAILED_PRECONDITION, 'because');
    expect(refusalOf(other)).toBeUndefined();
    expect(refusalOf(new Error('because'))).toBeUndefined();
  });

  it('without numbers where numbers belong is none', () => {
    const entries = { ...helloMetadata(own, 2), 'flotilla-node': 'one' };
    expect(readHello(received(entries))).toBeUndefined();
    expect(readHello(received({}))).toBeUndefined();
  });
});
