import test from 'ava';
import type { Examination, Integrity, Keys } from '../../../lib/cli/doctor/examination.ts';
import type { Facts, Finding, State } from '../../../lib/cli/doctor/finding.ts';
import { exitCodeOf } from '../../../lib/cli/doctor/verdict.ts';
import { examinationWith, factsWith, stateWith, surroundingsWith } from './facts.ts';

const settings = {
  pageSize: 4096,
  pageCount: 1000,
  freePages: 0,
  autoVacuum: 'none',
  userVersion: 0,
  applicationId: 0,
  encoding: 'UTF-8',
} as const;
const integrity: Integrity = {
  level: 'full',
  checked: 1,
  problems: [],
  isCut: false,
  skipped: [],
  unchecked: [],
  elapsed: 0,
};
const keys: Keys = { checked: 1, violations: [], skipped: [], elapsed: 0 };
const whole = { settings, integrity, keys };

const finding = (state: State): Finding => ({ id: 'a', group: 'File', state, title: 'A', found: 'b' });

function codeOf(states: readonly State[], part: Partial<Examination> = whole, changes: Partial<Facts> = {}): number {
  const facts = factsWith({ examination: examinationWith(part), ...changes });
  return exitCodeOf(states.map(finding), facts, false);
}

test('where all that was asked for was looked at the worst that was found is the verdict', (t) => {
  t.is(codeOf(['ok', 'note']), 0);
  t.is(codeOf(['note', 'warning']), 1);
  t.is(codeOf(['warning', 'problem', 'ok']), 3);
});

test('where something could not be looked at there is no verdict but that of a problem', (t) => {
  const failures = [{ during: 'pages', code: 'SQLITE_BUSY', message: 'database is locked' }] as const;
  const skipped = [{ table: 'a', reason: 'it was locked' }];
  for (const part of [
    { settings },
    { settings, keys },
    { settings, integrity },
    { ...whole, failures },
    { ...whole, integrity: { ...integrity, skipped } },
    { ...whole, keys: { ...keys, skipped } },
  ]) {
    t.is(codeOf(['ok'], part), 2, JSON.stringify(part));
    t.is(codeOf(['warning'], part), 2);
    t.is(codeOf(['problem'], part), 3);
  }
});

test('what was not asked for, or what only the application can look at, is not missing', (t) => {
  t.is(codeOf(['ok'], { settings }, { integrity: 'none', keys: false }), 0);
  const skipped = [{ table: 'a', reason: 'no such module: beyond' }];
  t.is(codeOf(['note'], { ...whole, integrity: { ...integrity, skipped } }), 0);
});

test('a problem is one whatever could not be examined, unless there is no database that could have one', (t) => {
  const notExamined = { examination: undefined };
  t.is(codeOf(['problem'], whole, notExamined), 3);
  t.is(codeOf(['note'], whole, notExamined), 2);
  t.is(codeOf(['note'], whole, { ...notExamined, state: stateWith({ content: 'empty' }) }), 0);
  for (const [changes, code] of [
    [{ state: stateWith({ kind: 'missing' }) }, 2],
    [{ state: stateWith({ content: undefined, error: 'EIO' }) }, 2],
    [{ surroundings: surroundingsWith({ readError: 'EACCES' }) }, 2],
    [{ state: stateWith({ content: 'other' }), guess: 'encrypted' }, 2],
    [{ state: stateWith({ content: 'other' }), guess: 'damaged' }, 3],
  ] as const) {
    t.is(codeOf(['problem'], whole, { ...notExamined, ...changes }), code, JSON.stringify(changes));
  }
});
