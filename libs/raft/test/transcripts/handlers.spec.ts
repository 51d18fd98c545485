import { describe, expect, it } from 'vitest';
import { jointCommittedIndex, jointVoteResult } from '../../src/core/quorum/joint.js';
import { committedIndex, sortedIds } from '../../src/core/quorum/majority.js';
import { newConfChangeHandler } from './confchange.js';
import { parseFile } from './datadriven.js';
import { newQuorumHandler } from './quorum.js';

function run(handler: ReturnType<typeof newQuorumHandler>, ...commands: string[]): string[] {
  const text = commands.map((command) => `${command}\n----\n\n`).join('');
  return parseFile(text).map((directive) => handler(directive));
}

const quorum = (command: string) => run(newQuorumHandler(), command)[0];

describe('the quorum commands', () => {
  it('wins every vote of an empty joint configuration', () => {
    expect(quorum('vote cfgj=zero')).toBe('VoteWon');
    expect(quorum('vote cfg=(1) cfgj=zero votes=(_)')).toBe('VotePending');
  });

  it('needs both halves for a vote, and one lost half loses it', () => {
    expect(quorum('vote cfg=(1,2,3) cfgj=(4) votes=(y,y,_,_)')).toBe('VotePending');
    expect(quorum('vote cfg=(1,2,3) cfgj=(4) votes=(y,y,_,y)')).toBe('VoteWon');
    expect(quorum('vote cfg=(1,2,3) cfgj=(4) votes=(_,_,_,n)')).toBe('VoteLost');
    expect(quorum('vote cfg=(1,2,3) cfgj=(4) votes=(n,n,_,y)')).toBe('VoteLost');
  });

  it('gives a voter of both halves one value, at its first place', () => {
    expect(quorum('vote cfg=(3,1) cfgj=(1,2) votes=(n,y,y)')).toBe('VoteLost');
    expect(quorum('vote cfg=(3,1) cfgj=(1,2) votes=(y,y,y)')).toBe('VoteWon');
    expect(quorum('vote cfg=(3,1) cfgj=(1,2) votes=(y,y,n)')).toBe('VoteLost');
  });

  it('says when there are more or fewer values than voters', () => {
    expect(quorum('committed cfg=(2,1) cfgj=(3) idx=(10,_)')).toBe(
      'error: mismatched input (explicit or _) for voters map[1:{} 2:{} 3:{}]: [10 0]',
    );
    expect(quorum('vote cfg=(1) votes=(y,n)')).toBe(
      'error: mismatched input (explicit or _) for voters map[1:{}]: [2 1]',
    );
  });

  it('refuses what it does not know', () => {
    expect(quorum('count cfg=(1)')).toBe('unknown command');
    expect(() => quorum('vote cfg=(1) votes=(x)')).toThrow('not a vote: x');
    expect(() => quorum('vote cfg=(1) idy=(1)')).toThrow('unknown argument idy');
    expect(() => quorum('committed cfg=(1) idx=(0)')).toThrow('written as _');
  });

  it('prints what its own checks find in a wrong majority', () => {
    const highest = newQuorumHandler({
      committedIndex: (config, acked) => Math.max(...[...config].map((id) => acked(id) ?? 0)),
    });
    const [text] = run(highest, 'committed cfg=(1,2,3) idx=(3,2,1)');
    expect(text).toContain('2 <-- via alternative computation\n');
    expect(text).toContain('2 <-- via zero-joint quorum\n2 <-- via self-joint quorum\n');
    const sum = newQuorumHandler({
      committedIndex: (config, acked) => [...config].reduce((all, id) => all + (acked(id) ?? 0), 0),
    });
    expect(run(sum, 'committed cfg=(1,2,3) idx=(3,2,1)')[0]).toContain('4 <-- overlaying 2->0\n');
    expect(run(newQuorumHandler({ committedIndex }), 'committed cfg=(1) idx=(3)')[0]).not.toContain(
      '<--',
    );
  });

  it('prints what its own checks find in a joint quorum that is not symmetric', () => {
    const wrong = newQuorumHandler({
      jointCommittedIndex: ([incoming], acked) => jointCommittedIndex([incoming, new Set()], acked),
      jointVoteResult: ([incoming], votes) => jointVoteResult([incoming, new Set()], votes),
    });
    const [index, vote] = run(
      wrong,
      'committed cfg=(1) cfgj=(2) idx=(10,20)',
      'vote cfg=(1) cfgj=(2) votes=(y,n)',
    );
    expect(index).toMatch(/\n20 <-- via symmetry\n10$/);
    expect(vote).toBe('VoteLost <-- via symmetry\nVoteWon');
  });

  it('orders ids as numbers', () => {
    expect(sortedIds(new Set([10, 9, 100]))).toEqual([9, 10, 100]);
    const chart = '      idx\nx>      8    (id=9)\n>       7    (id=10)\n7';
    expect(quorum('committed cfg=(10,9) idx=(7,8)')).toBe(chart);
  });
});

describe('the membership commands', () => {
  it('promote and demote by simple changes, and keep the progress of who stays', () => {
    const results = run(
      newConfChangeHandler(),
      'simple\nv1',
      'simple\nv2',
      'simple\nv3',
      'simple\nl1',
      'simple\nv1',
      'simple\nl2 v2 l3',
    );
    expect(results.slice(3)).toEqual([
      'voters=(2 3) learners=(1)\n1: StateProbe match=0 next=1 learner\n' +
        '2: StateProbe match=0 next=1\n3: StateProbe match=0 next=2\n',
      'voters=(1 2 3)\n1: StateProbe match=0 next=1\n' +
        '2: StateProbe match=0 next=1\n3: StateProbe match=0 next=2\n',
      'voters=(1 2) learners=(3)\n1: StateProbe match=0 next=1\n' +
        '2: StateProbe match=0 next=1\n3: StateProbe match=0 next=2 learner\n',
    ]);
  });

  it('refuse what a joint configuration does not allow, and count the refusals as rounds', () => {
    const results = run(
      newConfChangeHandler(),
      'leave-joint',
      'enter-joint',
      'enter-joint\nv1',
      'simple\nv1',
      'leave-joint',
      'enter-joint\nr1',
      'enter-joint autoleave=t\nv2 v3',
      'enter-joint\nv9',
      'simple\nl2',
      'leave-joint\nv4',
      'leave-joint',
      'leave-joint',
      'simple\nx1',
    );
    expect(results.map((text) => text.split('\n')[0])).toEqual([
      "can't leave a non-joint config",
      "can't make a zero-voter config joint",
      "can't make a zero-voter config joint",
      'voters=(1)',
      "can't leave a non-joint config",
      'removed all voters',
      'voters=(1 2 3)&&(1) autoleave',
      'config is already joint',
      "can't apply simple config change in joint config",
      'this command takes no input',
      'voters=(1 2 3)',
      "can't leave a non-joint config",
      'unknown input: x1',
    ]);
    expect(results[10]).toBe(
      'voters=(1 2 3)\n1: StateProbe match=0 next=3\n' +
        '2: StateProbe match=0 next=6\n3: StateProbe match=0 next=6\n',
    );
  });
});
