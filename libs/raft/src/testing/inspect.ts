/**
 * Looks into a running host: what a simulation has to see to judge it, and no caller should.
 */
import type { Raft } from '../core/raft.js';
import type { Host } from '../host/host.js';
import type { HostedGroup } from '../host/hosted-group.js';

/** The groups that run on a host now. */
export function groupsOf(host: Host): Iterable<HostedGroup> {
  return (host as unknown as { readonly groups: Map<number, HostedGroup> }).groups.values();
}

/** The protocol state of a group. */
export function raftOf(group: HostedGroup): Raft {
  return (group as unknown as { readonly node: { readonly raft: Raft } }).node.raft;
}
