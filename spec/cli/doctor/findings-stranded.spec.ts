import test from 'ava';
import type { FileState, Stranded } from '../../../lib/cli/outside/file-state.ts';
import { factsWith, findingsWith, locksWith, stateWith, told, walWith } from './facts.ts';

const index: FileState['index'] = {
  bytes: 32_768,
  valid: true,
  changes: 1,
  frames: 10,
  backfilled: 10,
  pages: 1000,
  salt: '00',
  marks: [],
};

function strandedBy(how: Stranded['how'], pids: readonly number[], state: Partial<FileState> = {}, log?: string) {
  const { patience } = factsWith();
  const stranded = pids.map((pid) => ({ pid, how, log }));
  const locks = locksWith({ users: [...pids, 99] });
  return findingsWith({ state: stateWith({ locks, ...state }), patience: { ...patience, stranded } });
}

test('of a process that can not be looked at it is said what may be, and how to find out', (t) => {
  const finding = strandedBy('unseen', [7]).one('journal.lost-log');
  t.is(
    told(finding),
    'warning: There is no log beside the file, and process 7 may have one: what it has open may not be looked at.',
  );
  t.regex(finding.advice?.join('\n') ?? '', /^Do not end it yet\. Run this as root/);
});

test('a deleted index is told of together with whether another one is used meanwhile', (t) => {
  const alone = strandedBy('no index', [7], { wal: walWith() }).one('journal.lost-index');
  t.is(told(alone), 'problem: The index of the log (-shm) was deleted while process 7 had it open.');
  t.regex(alone.why ?? '', /Who opens the file now makes another index/);
  const taken = strandedBy('no index', [7, 8], { wal: walWith(), index }).one('journal.lost-index');
  t.regex(told(taken), /while process 7 and process 8 had it open, and another one has taken its place\.$/);
  t.regex(taken.why ?? '', /Who uses the other index does not see/);
  t.regex(taken.advice?.[0] ?? '', /and one from a process that uses the other index\.$/);
});

test('of a replaced file, those who use the former one are told from those who use this one', (t) => {
  const one = strandedBy('other file', [7], { wal: walWith(), locks: locksWith({ users: [7] }) }).one(
    'journal.replaced',
  );
  t.regex(told(one), /^problem: .* the log of the former one, which process 7 still uses\.$/);
  t.is(one.advice?.length, 2);
  const two = strandedBy('other file', [7, 8], { wal: walWith() }).one('journal.replaced');
  t.regex(told(two), /which process 7 and process 8 still use\.$/);
  t.regex(two.advice?.[1] ?? '', /^Others have this file open already/);
});

test('a log under another name is named where there is one name', (t) => {
  const named = strandedBy('other log', [7], {}, '/other/app.db-wal').one('journal.other-name');
  t.regex(
    told(named),
    /^warning: The log of process 7 is "\/other\/app\.db-wal": the file has two names, or was renamed/,
  );
  t.regex(
    told(strandedBy('other log', [7]).one('journal.other-name')),
    /^warning: The log of process 7 is beside another/,
  );
});
