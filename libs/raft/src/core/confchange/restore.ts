/**
 * Rebuilds a configuration from its stored form, by the very changes that could have led to it.
 *
 * In: an empty tracker and a ConfState. Out: configuration and progress. A joint configuration is
 * made by founding the outgoing one and entering the joint one from there.
 */
import { ProgressTracker } from '../tracker/tracker.js';
import type { ConfState, LogIndex, NodeId } from '../types.js';
import { Changer, type ChangeResult } from './changer.js';
import { ConfChangeType, type ConfChangeSingle } from './types.js';

/** Throws ConfChangeError if no sequence of changes leads to `state`. `from` stays as it is. */
export function restore(
  from: { readonly tracker: ProgressTracker; readonly lastIndex: LogIndex },
  state: ConfState,
): ChangeResult {
  const { lastIndex } = from;
  const { inflightMessagesMax, inflightBytesMax } = from.tracker;
  const tracker = new ProgressTracker(inflightMessagesMax, inflightBytesMax);
  tracker.config = from.tracker.config;
  tracker.progress = from.tracker.progress;
  const { outgoing, incoming } = changesTo(state);
  const isJoint = outgoing.length > 0;
  const steps: ((changer: Changer) => ChangeResult)[] = isJoint
    ? [
        ...outgoing.map((change) => (changer: Changer) => changer.simple([change])),
        (changer) => changer.enterJoint(state.autoLeave, incoming),
      ]
    : incoming.map((change) => (changer: Changer) => changer.simple([change]));
  for (const step of steps) {
    const result = step(new Changer(tracker, lastIndex));
    tracker.config = result.config;
    tracker.progress = result.progress;
  }
  return { config: tracker.config, progress: tracker.progress };
}

/** Founding the outgoing configuration, then the changes from there to the incoming one. */
function changesTo(state: ConfState): {
  outgoing: ConfChangeSingle[];
  incoming: ConfChangeSingle[];
} {
  const change = (type: ConfChangeType) => (nodeId: NodeId) => ({ type, nodeId });
  return {
    outgoing: state.votersOutgoing.map(change(ConfChangeType.AddNode)),
    incoming: [
      ...state.votersOutgoing.map(change(ConfChangeType.RemoveNode)),
      ...state.voters.map(change(ConfChangeType.AddNode)),
      ...state.learners.map(change(ConfChangeType.AddLearnerNode)),
      ...state.learnersNext.map(change(ConfChangeType.AddLearnerNode)),
    ],
  };
}
