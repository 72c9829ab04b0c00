import test, { type ExecutionContext } from 'ava';
import type { Finding } from '../../../lib/cli/doctor/finding.ts';
import { Reading } from '../../../lib/cli/doctor/reading.ts';
import { createPool } from '../../../lib/index.ts';
import { temporaryFile } from '../../support/files.ts';
import { otherDatabase, otherPool } from '../../support/processes.ts';
import { build, diagnose, isLinux, manyRows } from './support.ts';

const onLinux = isLinux ? test.serial : test.skip;

/** Does with a pool what was advised. */
async function takesAdvice(t: ExecutionContext, file: string, { advice = [] }: Finding): Promise<void> {
  const [, mode] = /pool\.checkpoint\('(\w+)'\)/.exec(advice.join('\n')) ?? [];
  const pool = createPool(file, {});
  t.teardown(() => pool.close());
  await t.notThrowsAsync(pool.checkpoint(mode as 'truncate'));
}

const commands = `
  kept: (globalThis.kept = new Set()),
  // Each stays open until the process ends: what nothing refers to might be collected, and its lease be recovered.
  snapshot: () => new Promise((resolve, reject) => {
    pool.read(async (db) => {
      db.prepare('SELECT count(*) FROM item').get();
      resolve(process.pid);
      await new Promise((end) => kept.add(end));
    }).catch(reject);
  }),
  write: () => new Promise((resolve, reject) => {
    pool.transaction(async (tx) => {
      tx.prepare('UPDATE item SET amount = 0 WHERE id = 1').run();
      resolve(process.pid);
      await new Promise((end) => kept.add(end));
    }).catch(reject);
  }),
  grow: async (times) => {
    for (let time = 0; time < times; time++) await pool.run("UPDATE item SET name = name || 'x'");
    return process.pid;
  },`;

onLinux(
  'a snapshot that a pool of another process holds is told of, with the process and how far it is behind',
  async (t) => {
    const file = temporaryFile(t);
    build(file, manyRows);
    const other = await otherPool(t, file, {}, commands);
    const pid = await other.call<number>('snapshot');
    await other.call('grow', 20);
    const { code, one } = await diagnose(file);
    t.is(code, 1);
    const readers = one('users.readers');
    t.is(readers.state, 'warning');
    t.regex(
      readers.found,
      new RegExp(`^process ${pid} \\(.*\\) reads an older state, [\\d,]+ pages behind, for at least`),
    );
    t.is(one('users.writer').state, 'ok');
    t.is(one('content.integrity').state, 'ok');
  },
);

onLinux('a log that can not be copied grows, and is told of', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const other = await otherPool(t, file, {}, commands);
  await other.call('snapshot');
  await other.call('grow', 60);
  const { code, one } = await diagnose(file, ['--quick']);
  t.is(code, 1);
  t.is(one('journal.wal').state, 'warning');
  t.regex(one('journal.wal').found, /pages of it not yet in the file$/);
  await takesAdvice(t, file, one('journal.wal'));
});

onLinux('one that was long once, and is copied, is a note', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const reader = await otherPool(t, file, {}, commands);
  await reader.call('snapshot');
  const writer = await otherPool(t, file, {}, commands);
  await writer.call('grow', 60);
  await reader.kill();
  await writer.call('grow', 1);
  await writer.call('grow', 1);
  const { code, one } = await diagnose(file, ['--quick']);
  t.is(one('journal.wal').state, 'note');
  t.is(code, 0);
  await takesAdvice(t, file, one('journal.wal'));
});

onLinux(
  'a write transaction of another process is told of, and does not keep the file from being examined',
  async (t) => {
    const file = temporaryFile(t);
    build(file, manyRows);
    const other = await otherPool(t, file, {}, commands);
    const pid = await other.call<number>('write');
    const { code, one } = await diagnose(file);
    t.is(code, 1);
    t.is(one('users.writer').state, 'warning');
    t.regex(one('users.writer').found, new RegExp(`^A write transaction is open in process ${pid} \\(`));
    t.is(one('users.readers').state, 'ok');
    t.is(one('content.integrity').state, 'ok');
  },
);

onLinux('a process that writes all the time, in short transactions, is no warning', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const other = await otherPool(
    t,
    file,
    {},
    `busy: async () => {
      (async () => { for (;;) { await pool.run('UPDATE item SET amount = amount + 1 WHERE id = 1'); await nextTurn(); } })();
    },`,
  );
  await other.call('busy');
  const { one } = await diagnose(file);
  t.is(one('users.writer').state, 'ok');
  t.is(one('content.integrity').state, 'ok');
});

test.serial('one that is locked against readers is waited for as long as was said', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  const other = await otherDatabase(t, file);
  await other.exec('BEGIN EXCLUSIVE');
  const { code, of } = await diagnose(file, ['--timeout', '300']);
  t.is(code, 2);
  const [failed] = of('content.failed-open');
  t.is(failed?.state, 'warning');
  t.regex(failed?.found ?? '', /^It was locked by process \d+ \(.*\) for all .* \(SQLITE_BUSY\)\.$/);
  await other.exec('COMMIT');
  t.is((await diagnose(file)).of('content.integrity')[0]?.state, 'ok');
});

onLinux('one that a process has for itself in WAL mode is examined in a copy', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; UPDATE item SET amount = 5 WHERE id = 5; COMMIT');
  const { one } = await diagnose(file);
  t.regex(one('content.examined').found, /^in a copy/);
  t.is(one('content.integrity').state, 'ok');
  t.is(await other.value('SELECT amount FROM item WHERE id = 5'), 5);
});

onLinux('a writer is not kept waiting while its file is examined', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows.replace('i < 5000', 'i < 50000'));
  const other = await otherPool(t, file, { busyTimeout: 0 }, commands);
  const pid = await other.call<number>('grow', 1);
  t.is(typeof pid, 'number');
  const examined = diagnose(file);
  await other.call('grow', 3);
  const { one } = await examined;
  t.is(one('content.integrity').state, 'ok');
});

test.serial('who has waited for a lock in vain does not wait again for the next table', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  const other = await otherDatabase(t, file);
  await other.exec('BEGIN EXCLUSIVE');
  const reading = new Reading(file, { readonly: true, timeout: 50 });
  t.is(reading.number('PRAGMA busy_timeout'), 50);
  t.throws(() => reading.rows('SELECT * FROM item'), { code: 'SQLITE_BUSY' });
  t.is(reading.number('PRAGMA busy_timeout'), 0);
  await other.exec('COMMIT');
  t.is(reading.rows('SELECT * FROM item').length, 5000);
  reading.close();
});
