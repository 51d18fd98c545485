/** A report of positions as the nodes of this cluster read it. */
import { type applyV1 } from '@flotilla/proto';
import { type PositionReport, type PullerTold, type ReportedPosition } from './ports.js';

export function reportOnWire(report: PositionReport): applyV1.ReportPositionsRequest {
  return {
    positions: report.positions.map(positionOnWire),
    gateway: report.gateway,
    sequence: BigInt(report.sequence),
    all: report.isAll,
    leaderClockMs: BigInt(Math.floor(report.clockMs)),
    moved: report.moved.map(BigInt),
    left: report.left.map(BigInt),
  };
}

function positionOnWire(position: ReportedPosition): applyV1.ReplicaPosition {
  const { copyId, leaderIndex, clockMs, stands, puller } = position;
  return {
    tableId: BigInt(copyId),
    leaderIndex: BigInt(leaderIndex),
    leaderClockMs: BigInt(Math.floor(clockMs)),
    stands,
    ...(puller && { puller: pullerOnWire(puller) }),
  };
}

function pullerOnWire(puller: PullerTold): applyV1.PullerReport {
  const { gateway, state, lastError } = puller;
  return {
    gateway,
    state,
    lastError,
    copyIndex: BigInt(puller.copyIndex),
    snapshotBytes: BigInt(puller.snapshotBytes),
    snapshotBytesTotal: 0n,
    receivedBytes: BigInt(puller.receivedBytes),
  };
}
