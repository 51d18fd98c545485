/**
 * Making messages: one constructor that lists every field, so that all messages share one shape.
 *
 * A draft is filled in by the step that makes it and never changed once it was sent.
 */
import { NONE, type Entry, type Message, type MessageType, type NodeId } from './types.js';

/** A message that is still being filled in. */
export type MessageDraft = { -readonly [Field in keyof Message]: Message[Field] };

export const NO_ENTRIES: readonly Entry[] = [];
export const NO_MESSAGES: readonly Message[] = [];
export const NO_BYTES = new Uint8Array(0);

/** Marks a vote request that the leader itself asked for; such votes ignore leases. */
const TRANSFER_MARK = 'CampaignTransfer';
export const CAMPAIGN_TRANSFER = Uint8Array.from(TRANSFER_MARK, (char) => char.charCodeAt(0));

export function newMessage(type: MessageType, to: NodeId): MessageDraft {
  return {
    type,
    to,
    from: NONE,
    term: 0,
    logTerm: 0,
    index: 0,
    entries: NO_ENTRIES,
    commit: 0,
    vote: NONE,
    snapshot: undefined,
    reject: false,
    rejectHint: 0,
    context: undefined,
    responses: NO_MESSAGES,
  };
}

/** The same message for another receiver, as a follower passes it to its leader. */
export function forwarded(message: Message, to: NodeId, from: NodeId): MessageDraft {
  return { ...message, to, from: message.from === NONE ? from : message.from };
}

export function isCampaignTransfer(context: Uint8Array | undefined): boolean {
  if (context?.length !== CAMPAIGN_TRANSFER.length) return false;
  return CAMPAIGN_TRANSFER.every((byte, at) => context[at] === byte);
}
