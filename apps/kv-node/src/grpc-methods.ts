/**
 * The methods that Nest controllers of this app may serve, with their paths and codecs.
 */
import { grpcControllerMethod, type GrpcControllerMethods } from '@flotilla/platform';
import { clusterV1, regattaV1 as v1 } from '@flotilla/proto';
import { CLUSTER_CHANGES, CLUSTER_CHANGES_SERVICE } from './cluster/cluster-changes.controller.js';

const unary = 'unary';

export const CONTROLLER_METHODS: GrpcControllerMethods = {
  Tables: {
    Create: grpcControllerMethod(
      '/regatta.v1.Tables/Create',
      unary,
      v1.CreateTableRequest,
      v1.CreateTableResponse,
    ),
    Delete: grpcControllerMethod(
      '/regatta.v1.Tables/Delete',
      unary,
      v1.DeleteTableRequest,
      v1.DeleteTableResponse,
    ),
    List: grpcControllerMethod(
      '/regatta.v1.Tables/List',
      unary,
      v1.ListTablesRequest,
      v1.ListTablesResponse,
    ),
  },
  Cluster: {
    MemberList: grpcControllerMethod(
      '/regatta.v1.Cluster/MemberList',
      unary,
      v1.MemberListRequest,
      v1.MemberListResponse,
    ),
    Status: grpcControllerMethod(
      '/regatta.v1.Cluster/Status',
      unary,
      v1.StatusRequest,
      v1.StatusResponse,
    ),
  },
  [CLUSTER_CHANGES]: {
    ListNodes: grpcControllerMethod(
      `/${CLUSTER_CHANGES_SERVICE}/ListNodes`,
      unary,
      clusterV1.ListNodesRequest,
      clusterV1.ListNodesResponse,
    ),
    ListPlacements: grpcControllerMethod(
      `/${CLUSTER_CHANGES_SERVICE}/ListPlacements`,
      unary,
      clusterV1.ListPlacementsRequest,
      clusterV1.ListPlacementsResponse,
    ),
    AddNode: grpcControllerMethod(
      `/${CLUSTER_CHANGES_SERVICE}/AddNode`,
      unary,
      clusterV1.AddNodeRequest,
      clusterV1.AddNodeResponse,
    ),
    RemoveNode: grpcControllerMethod(
      `/${CLUSTER_CHANGES_SERVICE}/RemoveNode`,
      unary,
      clusterV1.RemoveNodeRequest,
      clusterV1.RemoveNodeResponse,
    ),
    DrainNode: grpcControllerMethod(
      `/${CLUSTER_CHANGES_SERVICE}/DrainNode`,
      unary,
      clusterV1.DrainNodeRequest,
      clusterV1.DrainNodeResponse,
    ),
    Rebalance: grpcControllerMethod(
      `/${CLUSTER_CHANGES_SERVICE}/Rebalance`,
      unary,
      clusterV1.RebalanceRequest,
      clusterV1.RebalanceResponse,
    ),
    TransferLeader: grpcControllerMethod(
      `/${CLUSTER_CHANGES_SERVICE}/TransferLeader`,
      unary,
      clusterV1.TransferLeaderRequest,
      clusterV1.TransferLeaderResponse,
    ),
    Promote: grpcControllerMethod(
      `/${CLUSTER_CHANGES_SERVICE}/Promote`,
      unary,
      clusterV1.PromoteRequest,
      clusterV1.PromoteResponse,
    ),
  },
};
