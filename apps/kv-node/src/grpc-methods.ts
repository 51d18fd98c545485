/**
 * The methods that Nest controllers of this app may serve, with their paths and codecs.
 */
import { grpcControllerMethod, type GrpcControllerMethods } from '@flotilla/platform';
import { regattaV1 as v1 } from '@flotilla/proto';

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
};
