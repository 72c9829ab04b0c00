import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { checkIntegrity, checkKeys } from '../../../lib/cli/doctor/checks.ts';
import { copyDatabase } from '../../../lib/cli/doctor/copy.ts';
import type { Step } from '../../../lib/cli/doctor/examination.ts';
import { examine } from '../../../lib/cli/doctor/examine.ts';
import { guessAt } from '../../../lib/cli/doctor/guess.ts';
import { look } from '../../../lib/cli/doctor/look.ts';
import { columnsOf, Progress } from '../../../lib/cli/doctor/progress.ts';
import { failureOf, Reading } from '../../../lib/cli/doctor/reading.ts';
import { asText } from '../../../lib/cli/doctor/report.ts';
import { surroundingsOf } from '../../../lib/cli/doctor/surroundings.ts';
import { pagesOf, settingsOf, statisticsOf } from '../../../lib/cli/doctor/survey.ts';
import { temporaryDirectory, temporaryFile } from '../../support/files.ts';
import { findingsWith, locksWith, stateWith } from './facts.ts';
import { build, manyRows } from './support.ts';

function readingOf(t: ExecutionContext, file: string): Reading {
  const reading = new Reading(file, { readonly: true, timeout: 0 });
  t.teardown(() => reading.close());
  return reading;
}

const withKeys = `
  CREATE TABLE parent (id INTEGER PRIMARY KEY, code TEXT);
  CREATE TABLE child (id INTEGER PRIMARY KEY, parent REFERENCES parent);`;

test('a table that somebody locks while others are looked at is skipped, and said to have been locked', async (t) => {
  const file = temporaryFile(t);
  build(file, withKeys, { wal: false });
  const other = new Database(file);
  t.teardown(() => other.close());
  const lockAt = (table: string) => async (step: Step) => {
    if (step.name === table) other.exec('BEGIN EXCLUSIVE');
  };
  const reading = readingOf(t, file);
  const keys = await checkKeys(reading, new Map(), lockAt('child'));
  other.exec('ROLLBACK');
  t.is(keys.checked, 0);
  t.deepEqual(keys.skipped, [{ table: 'child', reason: 'it was locked' }]);
  const integrity = await checkIntegrity(reading, 'full', new Map(), lockAt('parent'));
  other.exec('ROLLBACK');
  t.is(integrity.checked, 2);
  t.deepEqual(integrity.skipped, [{ table: 'parent', reason: 'it was locked' }]);
});

test('a foreign key to columns that are no key is said to keep its table from being looked at', async (t) => {
  const file = temporaryFile(t);
  build(
    file,
    `PRAGMA foreign_keys = OFF; ${withKeys} CREATE TABLE wrong (a REFERENCES parent (code)); INSERT INTO child VALUES (1, 5)`,
  );
  const keys = await checkKeys(readingOf(t, file), new Map(), async () => {});
  t.is(keys.checked, 1);
  t.is(keys.violations[0]?.count, 1);
  t.deepEqual(keys.skipped, [{ table: 'wrong', reason: 'foreign key mismatch - "wrong" referencing "parent"' }]);
});

test('the count of the pages of a large file tells how far it is', (t) => {
  const file = temporaryFile(t);
  build(file, 'PRAGMA page_size = 512; CREATE TABLE heap (a); INSERT INTO heap VALUES (zeroblob(3000000))');
  const reading = readingOf(t, file);
  const settings = settingsOf(reading);
  const steps: Step[] = [];
  const pages = pagesOf(reading, settings, (step) => steps.push(step));
  t.is(pages.lost, 0);
  t.is(pages.sharedCount, 0);
  t.is(steps.length, 1);
  t.like(steps[0], { phase: 'pages', name: 'heap', from: 5000 / settings.pageCount });
});

test('the page at the byte that SQLite locks is nobody’s, and not lost', (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const reading = readingOf(t, file);
  const settings = settingsOf(reading);
  // The byte is the first of the second gigabyte.
  const before = 2 ** 30 / settings.pageSize;
  const lostOf = (pageCount: number) => pagesOf(reading, { ...settings, pageCount }, () => {}).lost;
  t.is(lostOf(before), before - settings.pageCount);
  t.is(lostOf(before + 1), lostOf(before));
  t.is(lostOf(before + 2), lostOf(before) + 1);
});

test('a table without statistics beside others that have them is out of date', (t) => {
  const file = temporaryFile(t);
  build(
    file,
    `${manyRows} CREATE TABLE small (a); CREATE INDEX small_a ON small (a); INSERT INTO small VALUES (1); ANALYZE small`,
  );
  const rows = new Map([['item', 5000]]);
  t.deepEqual(statisticsOf(readingOf(t, file), rows).stale, [{ table: 'item', told: 0, rows: 5000 }]);
});

test('a table that can not be read is none that needs statistics', (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  const bytes = readFileSync(file);
  // All but the schema.
  bytes.fill(0xa5, 4096);
  writeFileSync(file, bytes);
  t.deepEqual(statisticsOf(readingOf(t, file), new Map()), { isMissing: true, concerned: 0, stale: [] });
});

test('a number that SQLite does not give is 0, and what is thrown has a code and a message', (t) => {
  const file = temporaryFile(t);
  build(file, withKeys);
  t.is(readingOf(t, file).number('SELECT id FROM parent'), 0);
  t.deepEqual(failureOf('open', new Error('no')), { during: 'open', code: 'ERROR', message: 'no' });
  t.deepEqual(failureOf('open', 'no'), { during: 'open', code: 'ERROR', message: 'no' });
});

test('what a file may be is guessed from its first bytes', (t) => {
  const file = temporaryFile(t);
  const guess = (bytes: Buffer | string) => {
    writeFileSync(file, bytes);
    return guessAt(file);
  };
  t.is(guess('Dear reader,\nnot a database.\n'), 'text');
  t.is(guess(Buffer.of(0, 1, 2, 3)), 'unknown');
  t.is(guess(Buffer.alloc(8192)), 'blank');
  // As much of each byte as chance would have.
  t.is(guess(Buffer.from(Array.from({ length: 4096 }, (_, at) => at % 256))), 'encrypted');
  t.is(guessAt(`${file}-missing`), undefined);
  // A name that is too long for the system to look for.
  t.is(guessAt(join(dirname(file), 'x'.repeat(5000))), undefined);
});

test('of a directory that is gone nothing is known but that nothing can be done there', (t) => {
  const { booted, ...others } = surroundingsOf(join(temporaryDirectory(t), 'gone', 'app.db'));
  t.true(booted < Date.now());
  t.deepEqual(others, {
    readError: 'ENOENT',
    writeError: 'ENOENT',
    directoryError: 'ENOENT',
    freeBytes: undefined,
    blockSize: undefined,
    fileSystem: undefined,
  });
});

test('a file that is cut off while it is copied is copied again as it is', async (t) => {
  const file = temporaryFile(t);
  writeFileSync(file, Buffer.alloc(6 * 1024 * 1024, 1));
  let tells = 0;
  const copy = await copyDatabase(file, temporaryDirectory(t), async () => {
    if (tells++ === 0) truncateSync(file, 4096);
  });
  t.deepEqual(readFileSync(copy), Buffer.alloc(4096, 1));
});

test('what lies beside a file and can not be copied ends the copy', async (t) => {
  const file = temporaryFile(t);
  build(file, withKeys);
  mkdirSync(`${file}-journal`);
  writeFileSync(join(`${file}-journal`, 'entry'), '');
  const error = await t.throwsAsync<NodeJS.ErrnoException>(copyDatabase(file, temporaryDirectory(t), async () => {}));
  t.truthy(error?.code);
  t.not(error?.code, 'ENOENT');
});

const jobOf = (path: string) =>
  ({ path, where: 'in place', needsLog: false, timeout: 0, integrity: 'full', keys: true, pages: true }) as const;

test.serial('an examination that is ended before it begins finds nothing, and is no failure', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  const found = await examine(jobOf(file), () => t.fail(), AbortSignal.abort());
  t.deepEqual(found.failures, []);
  t.is(found.settings, undefined);
});

test.serial('a process that ends before it has examined the file is told of with its last words', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  const { NODE_OPTIONS: options } = process.env;
  process.env['NODE_OPTIONS'] = '--no-such-option';
  try {
    const { failures } = await examine(jobOf(file), () => t.fail(), new AbortController().signal);
    t.is(failures.length, 1);
    t.like(failures[0], { during: 'open', code: 'ENDED' });
    t.regex(
      failures[0]?.message ?? '',
      /^The process that examines the file ended: exit code 9 \(.*--no-such-option.*\)\.$/,
    );
  } finally {
    if (options === undefined) delete process.env['NODE_OPTIONS'];
    else process.env['NODE_OPTIONS'] = options;
  }
});

test.serial('a process that can not be started is told of', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  const { execPath } = process;
  process.execPath = join(dirname(file), 'no-program');
  try {
    const { failures } = await examine(jobOf(file), () => t.fail(), new AbortController().signal);
    t.is(failures.length, 1);
    t.regex(failures[0]?.message ?? '', /^The process that examines the file ended: spawn .*no-program ENOENT\.$/);
  } finally {
    process.execPath = execPath;
  }
});

test('a terminal that says it has no columns is taken for one of 80', (t) => {
  const output = { write: () => t.fail() };
  t.is(columnsOf({ ...output, columns: 120 }), 120);
  t.is(columnsOf({ ...output, columns: 0 }), 80);
  t.is(columnsOf(output), 80);
  t.is(columnsOf(undefined), 80);
});

test('the line of progress starts with a step that has no name, and goes when it ends', async (t) => {
  let written = '';
  let seen: (() => void) | undefined;
  const write = (text: string) => {
    written += text;
    seen?.();
  };
  const line = () =>
    new Promise<void>((resolve) => {
      seen = resolve;
    });
  // Each begins with what takes the former away.
  const lines = () => written.replaceAll('\r\u001b[2K', '|');
  const progress = new Progress({ write, isTTY: true, columns: 60 }, {});
  progress.tell({ phase: 'copy', name: undefined, from: 0.256, to: 0.256 });
  progress.tell({ phase: 'copy', name: undefined, from: 0.5, to: 0.5 });
  t.is(written, '');
  await line();
  t.regex(lines(), /^\|Copying 50 % {2}[\d.]+ m?s of [\d.]+ m?s$/);
  progress.tell({ phase: 'keys', name: 'child', from: 0.75, to: 1 });
  await line();
  t.regex(lines(), /\|Foreign keys 75 % {2}.* {2}"child"$/);
  progress.end();
  t.true(lines().endsWith('"child"|'));
  progress.end();
  t.true(lines().endsWith('"child"|'));
});

test('a look that is ended does not look again', async (t) => {
  let looks = 0;
  const { state } = await look('/data/app.db', AbortSignal.abort(), () => {
    looks++;
    return stateWith({ locks: locksWith({ writer: 7 }) });
  });
  t.is(looks, 1);
  t.is(state.locks?.writer, 7);
});

test('a report in which all is well says so, and has no heading without findings', (t) => {
  const text = asText('app.db', findingsWith().all, 100, (_, plain) => plain);
  t.regex(text, /^app\.db\n\nFile\n {2}ok {7}Database file/);
  t.notRegex(text, /^Schema$/m);
  t.true(text.endsWith('\n\nNothing wrong was found.\n'));
});

test.serial('a log that is gone when SQLite is to be asked is not made anew', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const found = await examine({ ...jobOf(file), needsLog: true }, () => t.fail(), new AbortController().signal);
  t.is(found.failures.length, 1);
  t.like(found.failures[0], { during: 'open', code: 'CHANGED' });
  t.deepEqual(readdirSync(dirname(file)), ['app.db']);
});
