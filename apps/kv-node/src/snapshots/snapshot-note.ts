/**
 * What a snapshot is a snapshot of, as bytes: in the announcement, in every chunk, and beside the
 * rows that were staged from it.
 */
import { peerV1 } from '@flotilla/proto';
import { type SnapshotMetadata } from '@flotilla/raft';

export function toWire({ index, term, confState }: SnapshotMetadata): peerV1.SnapshotMetadata {
  const { voters, learners, votersOutgoing, learnersNext, autoLeave } = confState;
  return {
    index: BigInt(index),
    term: BigInt(term),
    confState: {
      voters: voters.map(BigInt),
      learners: learners.map(BigInt),
      votersOutgoing: votersOutgoing.map(BigInt),
      learnersNext: learnersNext.map(BigInt),
      autoLeave,
    },
  };
}

export function fromWire(metadata: peerV1.SnapshotMetadata): SnapshotMetadata {
  const conf = metadata.confState ?? peerV1.ConfState.fromPartial({});
  return {
    index: Number(metadata.index),
    term: Number(metadata.term),
    confState: {
      voters: conf.voters.map(Number),
      learners: conf.learners.map(Number),
      votersOutgoing: conf.votersOutgoing.map(Number),
      learnersNext: conf.learnersNext.map(Number),
      autoLeave: conf.autoLeave,
    },
  };
}

export function encodeNote(metadata: SnapshotMetadata): Buffer {
  return Buffer.from(peerV1.SnapshotMetadata.encode(toWire(metadata)).finish());
}

export function decodeNote(note: Uint8Array | undefined): SnapshotMetadata | undefined {
  return note && fromWire(peerV1.SnapshotMetadata.decode(note));
}
