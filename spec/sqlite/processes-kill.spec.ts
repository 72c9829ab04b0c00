import { existsSync, statSync } from 'node:fs';
import test from 'ava';
import { temporaryFile } from '../support/files.ts';
import {
  countingClass,
  journalNeighbours,
  longBusyTimeout,
  neighbours,
  otherDatabase,
  otherPool,
  turnsUntil,
  watch,
} from '../support/processes.ts';
import { temporaryPool } from '../support/sqlite.ts';

const rows = 200;

// A cache too small for its writes, so that what is not committed is in the file or the WAL when the process dies.
const dying = `
  async write() {
    pool.transaction(async (tx) => {
      const insert = tx.prepare('INSERT INTO item (name) VALUES (?)');
      tx.prepare("UPDATE item SET name = 'changed'").run();
      for (let row = 0; row < ${rows}; row++) insert.run('x'.repeat(1000));
      tell('written');
      await new Promise(() => {});
    });
  },
  async batches(run) {
    for (let batch = 1; ; batch++) {
      await pool.transaction(async (tx) => {
        const insert = tx.prepare('INSERT INTO batch VALUES (?, ?, zeroblob(500))');
        for (let row = 0; row < 20; row++) insert.run(run, batch);
        if (batch % 2 === 0) await nextTurn();
        for (let row = 0; row < 20; row++) insert.run(run, batch);
      });
      tell(batch);
      await nextTurn();
    }
  }`;

for (const journal_mode of ['WAL', 'DELETE']) {
  const pragmas = { journal_mode, cache_size: 5, cache_spill: 5 };

  test(`nothing is seen of a transaction whose process is killed before COMMIT in journal mode ${journal_mode}`, async (t) => {
    const file = temporaryFile(t);
    const { Database, refusals } = countingClass();
    const options = { pragmas, busyTimeout: longBusyTimeout, acquireTimeout: 50_000 };
    const pool = temporaryPool(t, { ...options, Database }, file);
    await pool.run('CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)');
    await pool.run("INSERT INTO item (name) VALUES ('kept')");
    const onDisk = () => statSync(journal_mode === 'WAL' ? `${file}-wal` : file).size;
    const before = onDisk();
    const victim = await otherPool(t, file, options, dying);
    const bystander = await otherDatabase(t, file);
    void victim.call('write').catch(() => {});
    await victim.hasTold(1);
    t.true(onDisk() > before + rows * 500, 'Its changes have left its memory');
    t.is(existsSync(`${file}-journal`), journal_mode === 'DELETE');

    const waiting = watch(pool.transaction((tx) => tx.prepare('SELECT id, name FROM item').all()));
    const waitingToo = watch(pool.run("INSERT INTO item (name) VALUES ('mine')"));
    await turnsUntil(() => refusals() >= 2);
    t.false(waiting.settled);
    await victim.kill();

    t.deepEqual(await waiting.done, [{ id: 1, name: 'kept' }]);
    t.deepEqual(await waitingToo.done, { changes: 1, lastInsertRowid: 2 });
    await bystander.exec("INSERT INTO item (name) VALUES ('theirs')");
    t.is(await bystander.value('SELECT group_concat(name) FROM item'), 'kept,mine,theirs');
    t.is(await bystander.value('PRAGMA integrity_check'), 'ok');
    t.deepEqual(await pool.all('PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
    t.false(existsSync(`${file}-journal`));
    t.like(pool.stats(), { laneHeld: 0, leased: 0 });
  });

  test(`what is killed at any moment has committed whole transactions in journal mode ${journal_mode}`, async (t) => {
    const file = temporaryFile(t);
    const options = { pragmas, busyTimeout: longBusyTimeout, acquireTimeout: 50_000 };
    const pool = temporaryPool(t, options, file);
    await pool.transaction((tx) =>
      tx.exec('CREATE TABLE batch (run INTEGER, number INTEGER, data BLOB); CREATE TABLE mine (x INTEGER)'),
    );
    const writers = new AbortController();
    let written = 0;
    const writing = (async () => {
      while (!writers.signal.aborted) {
        await pool.run('INSERT INTO mine VALUES (?)', [written]);
        written++;
        // Moments in which the lock is free.
        let turns = 2;
        await turnsUntil(() => turns-- === 0);
      }
    })();
    for (let run = 1; run <= 6; run++) {
      const victim = await otherPool(t, file, options, dying);
      void victim.call('batches', run).catch(() => {});
      await victim.hasTold(1 + Math.floor(Math.random() * 10));
      let turns = Math.floor(Math.random() * 8);
      await turnsUntil(() => turns-- <= 0);
      await victim.kill();
      const told = victim.told.length;
      const batches = await pool.all(
        'SELECT number, count(*) AS count FROM batch WHERE run = ? GROUP BY number ORDER BY number',
        [run],
      );
      t.true(batches.length >= told, `Of ${told} transactions that had resolved there are ${batches.length}`);
      t.deepEqual(
        batches,
        batches.map((_, index) => ({ number: index + 1, count: 40 })),
      );
      const before = written;
      await turnsUntil(() => written > before + 1);
    }
    writers.abort();
    await writing;
    const mine = await pool.all<{ x: number }>('SELECT x FROM mine ORDER BY x');
    t.deepEqual(
      mine.map(({ x }) => x),
      mine.map((_, index) => index),
    );
    t.is(mine.length, written);
    t.deepEqual(await pool.all('PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
    t.is(await (await otherDatabase(t, file)).value('PRAGMA integrity_check'), 'ok');
  });
}

test('a COMMIT that waits for a reader goes through when the process of the reader is killed', async (t) => {
  const { pool, other, refusals } = await journalNeighbours(t);
  await other.exec('BEGIN');
  await other.value('SELECT x FROM n');
  const writing = watch(pool.transaction((tx) => tx.prepare('UPDATE n SET x = 2').run()));
  await turnsUntil(() => refusals() >= 2);
  t.false(writing.settled);
  await other.kill();
  await writing.done;
  t.deepEqual(await pool.all('SELECT x FROM n'), [{ x: 2 }]);
});

test('a synchronous write waits for a process that is killed meanwhile, and then goes through', async (t) => {
  const { pool, other } = await neighbours(t);
  await other.exec('BEGIN IMMEDIATE; UPDATE n SET x = 10');
  await pool.withConnection(async (db) => {
    await other.call('dieSoon', 60);
    t.is(db.prepare('UPDATE n SET x = x + 1').run().changes, 1);
  });
  t.deepEqual(await pool.all('SELECT x FROM n'), [{ x: 2 }]);
});
