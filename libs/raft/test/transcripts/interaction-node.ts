/**
 * One replica of a transcript: the core, its storage, and an "appender" as the state machine.
 *
 * The appender's state is all data applied so far, one after the other; every applied entry makes
 * a new snapshot, the newest of which is what the leader sends. Work for the local threads waits
 * in two queues until a command takes it.
 */
import {
  EntryType,
  MemoryStorage,
  RawNode,
  asV2,
  confChangeFromEntry,
  isEmptyHardState,
  type Entry,
  type HardState,
  type Message,
  type RaftConfig,
  type Snapshot,
} from '../../src/core/index.js';

/** Storage whose snapshot is always the newest state of the appender. */
class AppenderStorage extends MemoryStorage {
  newest: (() => Snapshot) | undefined = undefined;

  override snapshot(): Snapshot {
    return this.newest === undefined ? super.snapshot() : this.newest();
  }
}

export class InteractionNode {
  readonly appendWork: Message[] = [];
  readonly applyWork: Message[] = [];
  readonly storage: MemoryStorage;
  readonly rawNode: RawNode;
  private readonly history: [Snapshot, ...Snapshot[]];

  constructor(
    readonly config: Omit<RaftConfig, 'storage'>,
    initial: Snapshot,
  ) {
    const storage = new AppenderStorage();
    if (initial.metadata.index !== 0) storage.applySnapshot(initial);
    this.storage = storage;
    this.history = [initial];
    storage.newest = () => this.state();
    this.rawNode = new RawNode({ ...config, storage });
  }

  get isAsync(): boolean {
    return this.config.asyncStorageWrites === true;
  }

  private state(): Snapshot {
    return this.history.at(-1) ?? this.history[0];
  }

  /** Stores what a batch or a message of the append thread asks for. */
  append(
    hardState: HardState | undefined,
    entries: readonly Entry[],
    snapshot: Snapshot | undefined,
  ): void {
    if (hardState !== undefined && !isEmptyHardState(hardState)) {
      this.storage.setHardState(hardState);
    }
    if (snapshot === undefined) {
      this.storage.append(entries);
      return;
    }
    if (entries.length > 0) throw new Error("can't apply snapshot and entries at the same time");
    this.storage.applySnapshot(snapshot);
  }

  apply(entries: readonly Entry[]): void {
    for (const entry of entries) this.applyOne(entry);
  }

  private applyOne(entry: Entry): void {
    const before = this.state();
    let update = entry.data;
    let { confState } = before.metadata;
    if (entry.type !== EntryType.Normal) {
      const change = confChangeFromEntry(entry);
      update = asV2(change).context;
      confState = this.rawNode.applyConfChange(change);
    }
    const data = new Uint8Array(before.data.length + update.length);
    data.set(before.data);
    data.set(update, before.data.length);
    const { index, term } = entry;
    this.history.push({ data, metadata: { index, term, confState } });
  }
}
