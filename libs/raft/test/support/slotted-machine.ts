/**
 * A state machine that can take snapshots over: texts in two slots, each with what is durable of it.
 *
 * `onDisk` is what a restart finds; `sync` brings it up to what is in memory, as an engine does.
 */
import type { SnapshotMetadata } from '../../src/core/index.js';
import type { CommittedEntry, SnapshotSlots, StateMachine } from '../../src/host/index.js';

export interface SlottedState {
  readonly appliedIndex: number;
  readonly texts: readonly string[];
  readonly installed: SnapshotMetadata | undefined;
  readonly staged:
    { readonly metadata: SnapshotMetadata; readonly texts: readonly string[] } | undefined;
}

const EMPTY: SlottedState = { appliedIndex: 0, texts: [], installed: undefined, staged: undefined };

export class SlottedMachine implements StateMachine<string> {
  state: SlottedState;
  /** Every state there was since the last sync: a crash keeps any one of them, or the synced one. */
  unsynced: SlottedState[] = [];
  applied: number[] = [];

  constructor(state: SlottedState = EMPTY) {
    this.state = state;
  }

  get appliedIndex(): number {
    return this.state.appliedIndex;
  }

  get texts(): readonly string[] {
    return this.state.texts;
  }

  readonly slots: SnapshotSlots = {
    staged: () => this.state.staged?.metadata,
    installed: () => this.state.installed,
    install: () => {
      const { staged } = this.state;
      if (!staged) throw new Error('nothing is staged');
      this.set({
        appliedIndex: staged.metadata.index,
        texts: staged.texts,
        installed: staged.metadata,
        staged: undefined,
      });
    },
  };

  /** A state lies ready, and is on disk. */
  stage(metadata: SnapshotMetadata, texts: readonly string[]): void {
    this.set({ ...this.state, staged: { metadata, texts } });
    this.sync();
  }

  discard(): void {
    this.set({ ...this.state, staged: undefined });
  }

  sync(): void {
    this.unsynced = [this.state];
  }

  apply(entries: readonly CommittedEntry[]): readonly string[] {
    return entries.map(({ index, data }) => {
      if (index !== this.state.appliedIndex + 1) throw new Error(`applied ${index} out of order`);
      this.applied.push(index);
      const text = Buffer.from(data).toString();
      const texts = text === '' ? this.state.texts : [...this.state.texts, text];
      this.set({ ...this.state, appliedIndex: index, texts });
      return text;
    });
  }

  private set(state: SlottedState): void {
    this.state = state;
    this.unsynced.push(state);
  }
}
