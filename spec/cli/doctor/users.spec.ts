import { existsSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { Finding } from '../../../lib/cli/doctor/finding.ts';
import { Reading } from '../../../lib/cli/doctor/reading.ts';
import { commitsBetween, observeFile } from '../../../lib/cli/outside/observe.ts';
import { isConfined } from '../../../lib/cli/outside/processes.ts';
import { createPool } from '../../../lib/index.ts';
import { temporaryFile } from '../../support/files.ts';
import { otherDatabase, otherPool } from '../../support/processes.ts';
import { build, canContain, diagnose, inContainer, isLinux, manyRows } from './support.ts';

const onLinux = isLinux ? test.serial : test.skip;

/** That nobody does something: in a container nobody knows that for certain. */
const quiet = isConfined() ? 'note' : 'ok';

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
    t.is(one('users.writer').state, quiet);
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
    t.is(one('users.readers').state, quiet);
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
  // Now and then it does not write when it is looked at.
  t.true(['ok', quiet].includes(one('users.writer').state));
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

for (const [how, first] of [
  ['from its first use', ''],
  ['after it has shared it', 'SELECT count(*) FROM item;'],
] as const) {
  onLinux(
    `one that a process has for itself in WAL mode ${how} is copied, and not said to be written to`,
    async (t) => {
      const file = temporaryFile(t);
      build(file, manyRows);
      const other = await otherDatabase(t, file);
      await other.exec(`${first} PRAGMA locking_mode = EXCLUSIVE; UPDATE item SET amount = 9 WHERE id = 5`);
      const { code, one } = await diagnose(file);
      t.is(code, 0);
      t.regex(one('content.examined').found, /^in a copy: a process holds it exclusively/);
      t.is(one('content.integrity').state, 'ok');
      t.is(one('users.writer').state, 'note');
      t.regex(
        one('users.writer').found,
        /^process \d+ \(.*\) holds the file exclusively, for at least .*; whether it writes can not be told\.$/,
      );
      if (first === '') {
        t.regex(one('journal.wal').found, /, held exclusively: its index is in the memory of the process that has it$/);
      } else t.regex(one('journal.wal').found, /, 1 page of it not yet in the file$/);
      t.is(await other.value('SELECT amount FROM item WHERE id = 5'), 9);
    },
  );
}

onLinux('what a former process has left as index is not that of one who has the file for itself', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const former = await otherDatabase(t, file);
  await former.exec('UPDATE item SET amount = 1; UPDATE item SET amount = 2');
  await former.kill();
  const left = observeFile(file);
  t.true(left.index?.valid);
  const other = await otherDatabase(t, file);
  await other.exec('PRAGMA locking_mode = EXCLUSIVE; UPDATE item SET amount = 9 WHERE id = 5');
  const state = observeFile(file);
  t.true(existsSync(`${file}-shm`));
  t.is(state.index, undefined);
  // Nor are its commits counted by it.
  t.is(commitsBetween(left, state), undefined);
  t.is(commitsBetween(state, observeFile(file)), undefined);
  const { one } = await diagnose(file, ['--quick']);
  t.regex(one('journal.wal').found, /, held exclusively: its index is in the memory of the process that has it$/);
  t.regex(one('users.writer').why ?? '', /closes it just now, .* `PRAGMA locking_mode = EXCLUSIVE`/);
  await other.exec('SELECT 1');
});

const withContainers = canContain() ? test.serial : test.skip;

withContainers('in a container nobody who can not be seen is said not to write, or not to have it open', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const other = await otherDatabase(t, file);
  await other.exec('BEGIN IMMEDIATE; UPDATE item SET amount = 9 WHERE id = 5');
  const { code, one } = await diagnose(file, ['--quick'], { within: inContainer });
  t.is(code, 0);
  for (const [id, found] of [
    ['users.processes', 'no process that can be seen from here has it open'],
    ['users.writer', 'nobody that can be seen from here writes'],
    ['users.readers', 'nobody that can be seen from here keeps the log from being copied into the file'],
  ] as const) {
    t.is(one(id).found, found);
    t.is(one(id).state, 'note');
    t.regex(one(id).why ?? '', /^Processes outside of this container .* can not be seen\.$/);
    t.true((one(id).advice ?? []).length > 0);
  }
  t.regex(one('content.examined').found, /^in a copy: no process that can be seen from here has it open/);
  await other.exec('COMMIT');
});

withContainers('in a container the log of one outside who writes is not said to be damaged', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const other = await otherPool(
    t,
    file,
    {},
    `busy: async () => {
      (async () => { for (;;) { await pool.run('UPDATE item SET amount = amount + 1'); await nextTurn(); } })();
    },`,
  );
  await other.call('busy');
  for (let count = 0; count < 3; count++) {
    const { code, findings } = await diagnose(file, ['--quick'], { within: inContainer });
    t.not(code, 3);
    t.deepEqual(
      findings.filter(({ state }) => state === 'problem'),
      [],
    );
  }
});

withContainers('in a container the journal of one outside who writes is not said to have been cut off', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  const other = await otherDatabase(t, file);
  await other.exec("PRAGMA cache_size = 5; BEGIN; UPDATE item SET name = 'changed ' || name WHERE id < 1000");
  const { one } = await diagnose(file, ['--quick'], { within: inContainer });
  t.regex(one('journal.rollback').found, /of a transaction that was cut off, unless somebody writes now\.$/);
  t.is(one('users.writer').state, 'note');
  await other.exec('COMMIT');
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
