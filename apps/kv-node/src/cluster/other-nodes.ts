/**
 * The few things a node asks of the others for itself.
 */
import { peerV1 } from '@flotilla/proto';
import { type PeerNetwork } from '../peers/peer-network.js';
import { peerPath } from '../peers/peer-server.js';
import { type PassedCalls } from '../routing/passed-calls.js';
import { type OtherNodes } from '../tables/table-admin.js';

const AWAIT_CATALOG = peerPath('AwaitCatalog');

export function otherNodes(network: PeerNetwork, passed: PassedCalls): OtherNodes {
  return {
    living: () => network.living(),
    awaitCatalog: async (node, index, timeoutMs) => {
      const request = peerV1.AwaitCatalogRequest.encode({ index: BigInt(index) }).finish();
      await network.call(node, AWAIT_CATALOG, request, { deadlineMs: timeoutMs });
    },
    awaitTable: (node, id, deadlineMs) => passed.awaitTableAt(node, id, deadlineMs),
    createTable: (node, table, deadlineMs) => passed.createTableAt(node, table, deadlineMs),
    deleteTable: (node, table, deadlineMs) => passed.deleteTableAt(node, table, deadlineMs),
  };
}
