import test from 'ava';
import type { Examination, Failure, Integrity, Keys, Pages } from '../../../lib/cli/doctor/examination.ts';
import type { Facts } from '../../../lib/cli/doctor/finding.ts';
import { planOf } from '../../../lib/cli/doctor/plan.ts';
import { examinationWith, findingsWith, headerWith, locksWith, stateWith, told, walWith } from './facts.ts';

const examined = (changes: Partial<Examination>, others: Partial<Facts> = {}) =>
  findingsWith({ examination: examinationWith(changes), ...others });

const pagesWith = (changes: Partial<Pages>): Pages => ({ trees: [], lost: 0, shared: [], sharedCount: 0, ...changes });

const keysWith = (changes: Partial<Keys>): Keys => ({
  checked: 1,
  violations: [],
  skipped: [],
  elapsed: 5,
  ...changes,
});

const integrityWith = (changes: Partial<Integrity>): Integrity => ({
  level: 'full',
  checked: 3,
  problems: [],
  isCut: false,
  skipped: [],
  unchecked: [],
  elapsed: 5,
  ...changes,
});

const settings = {
  pageSize: 4096,
  pageCount: 1000,
  freePages: 0,
  autoVacuum: 'none',
  userVersion: 3,
  applicationId: 4,
  encoding: 'UTF-8',
} as const;

test('whatever ends an examination is told of with what to do', (t) => {
  const failures: [Omit<Failure, 'during'>, string, RegExp][] = [
    [
      { code: 'SQLITE_CORRUPT', message: 'malformed' },
      'problem: SQLite can not read it: malformed (SQLITE_CORRUPT).',
      /^Stop writing to it/,
    ],
    [
      { code: 'SQLITE_BUSY', message: 'database is locked' },
      'warning: It was locked by somebody for all the time that was to be waited (SQLITE_BUSY).',
      /--timeout 60000/,
    ],
    [
      { code: 'SPACE', message: 'It needs 3 GB.' },
      'warning: There is no room for a copy in the directory for temporary files. It needs 3 GB.',
      /TMPDIR=/,
    ],
    [
      { code: 'CHANGED', message: 'It was written to each time.' },
      'warning: It was written to each time.',
      /^Try again; .*`--in-place`\.$/,
    ],
    [
      { code: 'ENDED', message: 'The process that examines the file ended: SIGKILL.' },
      'warning: The process that examines the file ended: SIGKILL (ENDED).',
      /^Try again; .*`--quick`/,
    ],
    [
      { code: 'SQLITE_IOERR_READ', message: 'disk I/O error' },
      'warning: disk I/O error (SQLITE_IOERR_READ).',
      /as the user whose process uses the file/,
    ],
  ];
  for (const [failure, found, advice] of failures) {
    const finding = examined({ failures: [{ during: 'open', ...failure }] }).one('content.failed-open');
    t.is(told(finding), found);
    t.regex(finding.advice?.join('\n') ?? '', advice);
  }
});

test('a lock that was waited for in vain is told of with who has it', (t) => {
  const failures = [{ during: 'open', code: 'SQLITE_BUSY', message: 'database is locked' }] as const;
  const state = stateWith({ locks: locksWith({ writer: 7, users: [7] }) });
  t.regex(examined({ failures }, { state }).one('content.failed-open').found, /^It was locked by process 7 for all/);
});

test('what was not to be looked at is ok, and what could not be is left to what failed', (t) => {
  const asked = examined({}, { integrity: 'none', keys: false });
  for (const id of ['content.keys', 'content.integrity']) {
    t.is(told(asked.one(id)), 'ok: not looked at, as was asked');
  }
  const failures = [{ during: 'open', code: 'SQLITE_BUSY', message: 'database is locked' }] as const;
  const failed = examined({ failures });
  t.deepEqual([...failed.of('content.keys'), ...failed.of('content.integrity')], []);
});

test('pages of two tables are a problem, pages of none a warning', (t) => {
  const shared = examined({
    pages: pagesWith({ shared: [{ page: 9, first: 'a', second: 'b' }], sharedCount: 1 }),
  }).one('content.pages');
  t.is(told(shared), 'problem: 1 page belongs to two tables or indexes at a time: 9 ("a", "b").');
  t.regex(shared.advice?.join('\n') ?? '', /^Stop writing to it/);
  const lost = (others: Partial<Examination>) =>
    examined({ settings, pages: pagesWith({ lost: 2 }), ...others }).one('content.pages');
  t.is(told(lost({})), 'warning: 2 pages are neither in use nor free: 8.2 kB.');
  t.regex(lost({}).advice?.join('\n') ?? '', /`VACUUM` makes it anew/);
  // What would be lost by making a damaged file anew is worth more than the room.
  const failures = [{ during: 'tables', code: 'SQLITE_CORRUPT', message: 'malformed' }] as const;
  const problems = [{ table: 't', message: 'row 3 missing from index i' }];
  for (const damage of [{ failures }, { integrity: integrityWith({ problems }) }]) {
    t.notRegex(lost(damage).advice?.join('\n') ?? '', /VACUUM/);
  }
  t.regex(told(lost({ settings: undefined })), /^warning: 2 pages are neither in use nor free/);
});

const keysWithout = (table: string, reason: string) =>
  examined({ keys: keysWith({ skipped: [{ table, reason }] }) }).one('content.keys');

test('tables whose foreign keys were not looked at are told of with how to have that done', (t) => {
  const locked = keysWithout('child', 'it was locked');
  t.is(told(locked), 'warning: Not looked at: "child" (it was locked).');
  t.regex(locked.advice?.join('\n') ?? '', /^Try again .*`--timeout 60000`/);
  const mismatch = keysWithout('child', 'foreign key mismatch - "child" referencing "parent"');
  t.regex(mismatch.why ?? '', /are no key of the parent/);
  t.regex(mismatch.advice?.join('\n') ?? '', /UNIQUE index/);
  const foreign = keysWithout('word', 'no such module: beyond');
  t.regex(foreign.why ?? '', /`onOpen`/);
  t.regex(foreign.advice?.join('\n') ?? '', /in the application/);
});

test('rows without a parent are told of beside what was not looked at', (t) => {
  const violations = [
    { table: 'child', columns: ['of'], parent: 'parent', count: 1, rowids: [], rowidName: undefined },
  ];
  const [first, second, ...others] = examined({
    keys: keysWith({ violations, skipped: [{ table: 'other', reason: 'it was locked' }] }),
  }).of('content.keys');
  t.deepEqual(others, []);
  t.is(first && told(first), 'problem: 1 row of "child" ("of") without a parent in "parent".');
  t.regex(first?.advice?.join('\n') ?? '', /^Find the rows of "child" \("of"\)/);
  t.is(second?.state, 'warning');
});

test('integrity is told of with what was left out, and of many problems how many are shown', (t) => {
  const inPlace = { plan: { where: 'in place', reason: 'in place' } } as const;
  t.is(
    told(examined({ integrity: integrityWith({ level: 'quick' }) }, inPlace).one('content.integrity')),
    'ok: nothing wrong in 3 tables, without comparing indexes with their tables; CHECK constraints are tried in a copy alone (5 ms)',
  );
  const problems = [
    { table: undefined, message: 'Page 7: never used' },
    { table: 't', message: 'row 3 missing from index i' },
  ];
  const [unused, missing] = examined({ integrity: integrityWith({ problems, isCut: true }) }).of('content.integrity');
  t.is(unused && told(unused), 'warning: Page 7: never used');
  t.is(missing && told(missing), 'problem: "t": row 3 missing from index i (and more than these 2)');
  t.truthy(missing?.why);
  t.truthy(missing?.advice);
  const skipped = [{ table: 't', reason: 'it was locked' }];
  const [, left] = examined({ integrity: integrityWith({ skipped }) }).of('content.integrity');
  t.is(left && told(left), 'note: Not looked at: "t" (it was locked).');
  t.regex(left?.advice?.join('\n') ?? '', /--timeout/);
});

test('tables are counted with all that belongs to them, and the largest is named', (t) => {
  const tables = { tables: 1, indexes: 2, virtual: 1, views: 1, triggers: 3 };
  const trees = [{ name: 'large', pages: 1, entries: 1, unusedBytes: 0 }];
  t.is(
    examined({ tables, pages: pagesWith({ trees }) }).one('schema.tables').found,
    '1 table, 2 indexes, 1 virtual table, 1 view and 3 triggers; the largest is "large" with 1 page',
  );
  t.is(
    examined({ tables: { ...tables, virtual: 0, views: 0, triggers: 0 } }).one('schema.tables').found,
    '1 table and 2 indexes',
  );
});

test('what SQLite says of versions and of free pages counts more than the header', (t) => {
  const { one } = examined({ settings: { ...settings, freePages: 500 } });
  t.is(one('file.versions').found, 'user_version 3, application_id 4, UTF-8');
  t.is(told(one('space.free-pages')), 'note: 500 pages, 50 % of the file; auto_vacuum is none');
  const none = examined({ settings: { ...settings, pageCount: 0 } }).one('space.free-pages');
  t.is(told(none), 'ok: 0 pages, 0 % of the file; auto_vacuum is none');
});

test('for a quick look a large file is not copied, and it is said how to have that done', (t) => {
  const quick = { inPlace: false, quick: true };
  const header = headerWith({ journal: 'rollback' });
  const journal = { bytes: 512, modified: 0, hasHead: true, isHot: true };
  for (const state of [
    stateWith({ size: 2_000_000_000 }),
    stateWith({ size: 2_000_000_000, wal: walWith() }),
    stateWith({ size: 2_000_000_000, header, journal }),
  ]) {
    const plan = planOf(state, quick);
    const finding = findingsWith({ state, plan }).one('content.examined');
    t.regex(
      told(finding),
      /^note: It would have to be copied \(.+\), which is nothing for a quick look: leave out --quick/,
    );
    t.is(planOf(state, { ...quick, quick: false }).where, 'copy');
    t.is(planOf({ ...state, size: 2_000_000 }, quick).where, 'copy');
  }
});

test('what lies beside a file and is no file keeps SQLite from being asked', (t) => {
  const plan = planOf(stateWith({ strangers: ['-wal'] }), { inPlace: false, quick: false });
  t.is(plan.where, 'nowhere');
  t.regex(plan.reason, /might wait for ever\.$/);
});
