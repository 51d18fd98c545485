/**
 * The commands of interaction transcripts: from a directive to what it prints.
 *
 * A handler keeps one group of replicas for the whole file. Errors of a command are part of its
 * output, even when logging is off.
 */
import {
  ConfChangeTransition,
  MessageType,
  NO_LIMIT,
  RaftError,
  StorageError,
  describeEntries,
  describeMessage,
  messageName,
  parseConfChanges,
  type Message,
  type NodeId,
  type RaftConfig,
  type Snapshot,
} from '../../src/core/index.js';
import { newMessage } from '../../src/core/message.js';
import type { Directive } from './datadriven.js';
import { InteractionEnv, type Recipient } from './interaction-env.js';
import { parseLogLevel } from './redirect-logger.js';

type Args = Directive['args'];
type Command = (env: InteractionEnv, directive: Directive) => void;

/** A command that cannot be carried out as it is written; its text is the command's output. */
class CommandError extends Error {}

/** A fresh group and the function that runs directives on it. */
export function newInteractionHandler(): (directive: Directive) => string {
  const env = new InteractionEnv();
  return (directive) => {
    env.output.clear();
    const message = run(env, directive);
    if (message !== undefined) {
      if (env.output.isQuiet) return message;
      env.output.write(message);
    }
    return env.output.text === '' ? 'ok' : env.output.text;
  };
}

/** Runs one command; returns the text of the error it ended with. */
function run(env: InteractionEnv, directive: Directive): string | undefined {
  const command = COMMANDS.get(directive.cmd);
  if (command === undefined) return 'unknown command';
  try {
    command(env, directive);
    return undefined;
  } catch (error) {
    if (error instanceof RaftError || error instanceof StorageError) return error.message;
    if (error instanceof CommandError) return error.message;
    throw error;
  }
}

const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['_breakpoint', () => undefined],
  ['add-nodes', addNodes],
  ['campaign', (env, { args }) => env.node(idAt(args, 0)).rawNode.campaign()],
  ['compact', compact],
  ['deliver-msgs', deliverMessages],
  ['forget-leader', (env, { args }) => env.node(idAt(args, 0)).rawNode.forgetLeader()],
  ['log-level', (env, { args }) => void (env.output.level = parseLogLevel(keyAt(args, 0)))],
  ['process-ready', processReady],
  ['process-append-thread', processAppendThread],
  ['process-apply-thread', processApplyThread],
  ['propose', propose],
  ['propose-conf-change', proposeConfChange],
  ['raft-log', (env, { args }) => writeLog(env, idAt(args, 0))],
  ['raft-state', (env) => env.writeRaftState()],
  ['report-unreachable', reportUnreachable],
  ['send-snapshot', sendSnapshot],
  ['set-randomized-election-timeout', setElectionTimeout],
  ['stabilize', stabilize],
  ['status', (env, { args }) => env.writeStatus(idAt(args, 0))],
  ['tick-election', (env, { args }) => tick(env, idAt(args, 0), 'electionTicks')],
  ['tick-heartbeat', (env, { args }) => tick(env, idAt(args, 0), 'heartbeatTicks')],
  ['transfer-leadership', transferLeadership],
]);

function keyAt(args: Args, at: number): string {
  const arg = args[at];
  if (arg === undefined) throw new Error(`argument ${at + 1} is missing`);
  return arg.key;
}

function idAt(args: Args, at: number): NodeId {
  return toNumber(keyAt(args, at));
}

function toNumber(text: string | undefined): number {
  const value = Number(text);
  if (text === undefined || text === '' || !Number.isSafeInteger(value)) {
    throw new Error(`not a number: ${String(text)}`);
  }
  return value;
}

function toBoolean(text: string | undefined): boolean {
  if (text === 'true' || text === 't' || text === undefined) return true;
  if (text === 'false' || text === 'f') return false;
  throw new Error(`not a boolean: ${text}`);
}

/** Node ids among the arguments; they are the ones without a value. */
function plainIds(args: Args): NodeId[] {
  return args.filter(({ vals }) => vals.length === 0).map(({ key }) => toNumber(key));
}

function valueOf(args: Args, key: string): string | undefined {
  return args.find((arg) => arg.key === key)?.vals[0];
}

function addNodes(env: InteractionEnv, { args }: Directive): void {
  let config: Partial<RaftConfig> = {};
  let voters: NodeId[] = [];
  let learners: NodeId[] = [];
  let index = 0;
  let content = '';
  for (const { key, vals } of args.slice(1)) {
    const [value] = vals;
    if (key === 'voters') voters = vals.map(toNumber);
    else if (key === 'learners') learners = vals.map(toNumber);
    else if (key === 'index') index = toNumber(value);
    else if (key === 'content') content = value ?? '';
    else config = { ...config, ...configOption(key, value) };
  }
  const confState = { voters, learners, votersOutgoing: [], learnersNext: [], autoLeave: false };
  const term = index === 0 ? 0 : 1;
  const initial: Snapshot = { data: bytes(content), metadata: { confState, index, term } };
  env.addNodes(idAt(args, 0), config, initial);
}

function configOption(key: string, value: string | undefined): Partial<RaftConfig> {
  switch (key) {
    case 'async-storage-writes':
      return { asyncStorageWrites: toBoolean(value) };
    case 'prevote':
      return { preVote: toBoolean(value) };
    case 'checkquorum':
      return { checkQuorum: toBoolean(value) };
    case 'inflight':
      return { inflightMessagesMax: toNumber(value) };
    case 'max-committed-size-per-ready':
      return { committedBytesMax: toNumber(value), messageBytesMax: NO_LIMIT };
    case 'disable-conf-change-validation':
      return { disableConfChangeValidation: toBoolean(value) };
    case 'read-only':
      return { readOnlyOption: value === 'lease-based' ? 'lease-based' : 'safe' };
    case 'step-down-on-removal':
      return { stepDownOnRemoval: toBoolean(value) };
    default:
      throw new Error(`unknown option ${key}`);
  }
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function compact(env: InteractionEnv, { args }: Directive): void {
  const id = idAt(args, 0);
  env.node(id).storage.compact(idAt(args, 1));
  writeLog(env, id);
}

function writeLog(env: InteractionEnv, id: NodeId): void {
  const { storage } = env.node(id);
  const first = storage.firstIndex();
  const last = storage.lastIndex();
  if (last < first) {
    env.output.write(`log is empty: first index=${first}, last index=${last}`);
    return;
  }
  env.output.write(describeEntries(storage.entries(first, last + 1, NO_LIMIT)));
}

function deliverMessages(env: InteractionEnv, { args }: Directive): void {
  const recipients: Recipient[] = [];
  let type: MessageType | undefined = undefined;
  for (const { key, vals } of args) {
    if (vals.length === 0) recipients.push({ id: toNumber(key), drop: false });
    else if (key === 'drop')
      recipients.push(...vals.map((id) => ({ id: toNumber(id), drop: true })));
    else if (key === 'type') type = messageTypeOf(vals[0]);
  }
  if (new Set(recipients.map(({ id }) => id)).size !== recipients.length) {
    throw new Error("can't both deliver and drop messages of one node");
  }
  if (env.deliver(recipients, type) === 0) env.output.write('no messages\n');
}

function messageTypeOf(name: string | undefined): MessageType {
  const type = Object.values(MessageType).find((each) => messageName(each) === name);
  if (type === undefined) throw new Error(`unknown message type ${String(name)}`);
  return type;
}

function processReady(env: InteractionEnv, { args }: Directive): void {
  env.forEachWithHeader(plainIds(args), 'handling Ready', (id) => env.processReady(id));
}

function processAppendThread(env: InteractionEnv, { args }: Directive): void {
  env.forEachWithHeader(plainIds(args), 'processing append thread', (id) =>
    env.processAppendThread(id),
  );
}

function processApplyThread(env: InteractionEnv, { args }: Directive): void {
  env.forEachWithHeader(plainIds(args), 'processing apply thread', (id) =>
    env.processApplyThread(id),
  );
}

function propose(env: InteractionEnv, { args }: Directive): void {
  env.node(idAt(args, 0)).rawNode.propose(bytes(keyAt(args, 1)));
}

function proposeConfChange(env: InteractionEnv, { args, input }: Directive): void {
  const { rawNode } = env.node(idAt(args, 0));
  const transition = transitionOf(valueOf(args, 'transition'));
  const changes = parseConfChanges(input);
  if (!args.some(({ key }) => key === 'v1') || !toBoolean(valueOf(args, 'v1'))) {
    rawNode.proposeConfChange({ transition, changes, context: bytes('') });
    return;
  }
  const [change] = changes;
  if (change === undefined || changes.length > 1 || transition !== ConfChangeTransition.Auto) {
    throw new CommandError('v1 conf change can only have one operation and no transition');
  }
  rawNode.proposeConfChange({ ...change, context: bytes('') });
}

function transitionOf(name: string | undefined): ConfChangeTransition {
  switch (name) {
    case undefined:
    case 'auto':
      return ConfChangeTransition.Auto;
    case 'implicit':
      return ConfChangeTransition.JointImplicit;
    case 'explicit':
      return ConfChangeTransition.JointExplicit;
    default:
      throw new Error(`unknown transition ${name}`);
  }
}

function reportUnreachable(env: InteractionEnv, { args }: Directive): void {
  env.node(idAt(args, 0)).rawNode.reportUnreachable(idAt(args, 1));
}

function sendSnapshot(env: InteractionEnv, { args }: Directive): void {
  const from = idAt(args, 0);
  const { rawNode, storage } = env.node(from);
  const message: Message = {
    ...newMessage(MessageType.Snap, idAt(args, 1)),
    from,
    term: rawNode.basicStatus().hardState.term,
    snapshot: storage.snapshot(),
  };
  env.queue(message);
  env.output.write(describeMessage(message));
}

function setElectionTimeout(env: InteractionEnv, { args }: Directive): void {
  const { raft } = env.node(idAt(args, 0)).rawNode;
  raft.randomizedElectionTimeout = toNumber(valueOf(args, 'timeout'));
}

function stabilize(env: InteractionEnv, { args }: Directive): void {
  const before = env.output.level;
  const level = valueOf(args, 'log-level');
  if (level !== undefined) env.output.level = parseLogLevel(level);
  const ids = plainIds(args);
  try {
    env.stabilize(ids.length > 0 ? ids : env.nodes.map((_, at) => at + 1));
  } finally {
    env.output.level = before;
  }
}

function tick(env: InteractionEnv, id: NodeId, per: 'electionTicks' | 'heartbeatTicks'): void {
  const { rawNode, config } = env.node(id);
  for (let ticks = 0; ticks < config[per]; ticks++) rawNode.tick();
}

function transferLeadership(env: InteractionEnv, { args }: Directive): void {
  const from = toNumber(valueOf(args, 'from'));
  env.node(from).rawNode.transferLeader(toNumber(valueOf(args, 'to')));
}
