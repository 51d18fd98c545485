/**
 * Replays the transcripts of membership changes: each directive is one change, applied to what the
 * ones before it left.
 */
import { ConfChangeError, Changer } from '../../src/core/confchange/changer.js';
import { parseConfChanges } from '../../src/core/confchange/format.js';
import { progressMapToString } from '../../src/core/tracker/progress.js';
import { ProgressTracker } from '../../src/core/tracker/tracker.js';
import type { Directive, DirectiveHandler } from './datadriven.js';

const INFLIGHT_MESSAGES_MAX = 10;

export function newConfChangeHandler(): DirectiveHandler {
  const tracker = new ProgressTracker(INFLIGHT_MESSAGES_MAX, 0);
  // Grows with every directive, so that it shows who was added when.
  let lastIndex = 0;
  return (directive) => {
    try {
      const result = change(new Changer(tracker, lastIndex), directive);
      if (result === undefined) return 'unknown command';
      tracker.config = result.config;
      tracker.progress = result.progress;
      return `${tracker.config.toString()}\n${progressMapToString(tracker.progress)}`;
    } catch (error) {
      if (error instanceof ConfChangeError) return `${error.message}\n`;
      throw error;
    } finally {
      lastIndex++;
    }
  };
}

function change(changer: Changer, { cmd, args, input }: Directive) {
  const changes = parseConfChanges(input);
  switch (cmd) {
    case 'simple':
      return changer.simple(changes);
    case 'enter-joint': {
      const autoLeave = args.find(({ key }) => key === 'autoleave')?.vals[0] ?? 'false';
      return changer.enterJoint(autoLeave.startsWith('t'), changes);
    }
    case 'leave-joint':
      if (changes.length > 0) throw new Error('this command takes no input');
      return changer.leaveJoint();
    default:
      return undefined;
  }
}
