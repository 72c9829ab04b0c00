import test from 'ava';
import type { LeasedDatabase, OpenTransaction } from '../lib/index.ts';
import { outlived } from './support/dangling.ts';
import { settled } from './support/gate.ts';
import { Enough, insert, namesIn, openItems, refusal } from './support/items.ts';
import { temporaryPool } from './support/sqlite.ts';

const empty = { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 };

test('a transaction that is opened begins by itself, and holds until it is ended', async (t) => {
  const pool = await openItems(t);
  const tx = pool.openTransaction();
  t.is(pool.stats().laneHeld, 1, 'its turn is taken at once');
  t.is(await tx.begun, tx);
  t.is(await tx.begun, tx);
  t.like(pool.stats(), { leased: 1, laneHeld: 1 });
  await tx.run(() => pool.run("INSERT INTO item VALUES ('bolt')"));
  t.deepEqual(await namesIn(pool), [], 'nobody else sees what it has written');
  t.deepEqual(await tx.run(() => namesIn(pool)), ['bolt']);
  await tx.commit();
  t.like(pool.stats(), empty);
  t.deepEqual(await namesIn(pool), ['bolt']);
});

test('what was written is gone after a rollback', async (t) => {
  const pool = await openItems(t);
  const tx = await pool.openTransaction().begun;
  tx.run((db) => insert(db, 'lost'));
  await tx.rollback();
  t.like(pool.stats(), empty);
  t.deepEqual(await namesIn(pool), []);
});

test('one that is disposed of is rolled back, unless it was committed', async (t) => {
  const pool = await openItems(t);
  {
    await using tx = pool.openTransaction();
    await tx.begun;
    tx.run((db) => insert(db, 'lost'));
  }
  {
    await using tx = pool.openTransaction();
    await tx.begun;
    tx.run((db) => insert(db, 'kept'));
    await tx.commit();
  }
  t.deepEqual(await namesIn(pool), ['kept']);
  t.like(pool.stats(), empty);
});

test('the context of whoever opens it stays outside', async (t) => {
  const pool = await openItems(t);
  const tx = pool.openTransaction();
  t.is(pool.current, undefined);
  await tx.begun;
  t.is(pool.current, undefined);
  t.is(await tx.begun.then(() => pool.current), undefined);
  await tx.commit();
  t.is(pool.current, undefined);
});

test('run gives its function the handle, and passes on what comes of it', async (t) => {
  const pool = await openItems(t);
  const tx = await pool.openTransaction().begun;
  const promise = Promise.resolve('later');
  tx.run((db) => {
    t.true(db.inTransaction);
    t.is(pool.current, db);
    t.true(pool.db.inTransaction);
  });
  t.is(
    tx.run(() => promise),
    promise,
  );
  t.throws(
    () =>
      tx.run(() => {
        throw new Enough();
      }),
    { instanceOf: Enough },
  );
  // An error is the caller's to judge: he may go on, or roll back.
  tx.run((db) => insert(db, 'kept'));
  await tx.commit();
  t.deepEqual(await namesIn(pool), ['kept']);
});

type Step = 'commit' | 'rollback';

const endings: readonly [Step[], Step][] = [
  [['commit', 'commit'], 'commit'],
  [['commit', 'rollback'], 'commit'],
  [['rollback', 'commit'], 'rollback'],
  [['rollback', 'rollback'], 'rollback'],
  [['commit', 'rollback', 'commit'], 'commit'],
  [['rollback', 'commit', 'rollback'], 'rollback'],
];

/** Ends a transaction step by step; what each has come to. */
async function outcomes(tx: OpenTransaction<LeasedDatabase>, steps: readonly Step[], atOnce: boolean) {
  const told: Promise<string>[] = [];
  for (const step of steps) {
    const end = tx[step]().then(
      () => 'done',
      (error: { code: string }) => error.code,
    );
    told.push(end);
    if (!atOnce) await end;
  }
  return Promise.all(told);
}

for (const [steps, first] of endings) {
  for (const atOnce of [false, true]) {
    const how = steps.join(', then ') + (atOnce ? ', at once' : '');
    const refused = (step: Step) =>
      first === 'rollback' && step === 'commit' ? 'ERR_LEASEHOLD_TRANSACTION_ENDED' : 'done';

    test(`what is asked first counts: ${how}`, async (t) => {
      const pool = await openItems(t);
      const tx = await pool.openTransaction().begun;
      tx.run((db) => insert(db, 'bolt'));
      t.deepEqual(await outcomes(tx, steps, atOnce), steps.map(refused));
      t.deepEqual(await namesIn(pool), first === 'commit' ? ['bolt'] : []);
      t.like(pool.stats(), empty);
    });

    test(`and so it does before it has begun: ${how}`, async (t) => {
      const pool = await openItems(t);
      const tx = pool.openTransaction();
      t.deepEqual(await outcomes(tx, steps, atOnce), steps.map(refused));
      if (first === 'commit') t.is(await tx.begun, tx);
      else await t.throwsAsync(tx.begun, refusal('TRANSACTION_ENDED'));
      // What was rolled back before its turn has still to let it pass.
      await settled();
      t.like(pool.stats(), empty);
      t.like(await pool.run("INSERT INTO item VALUES ('next')"), { changes: 1 });
    });
  }
}

test('a commit that fails says why each time, and leaves nothing', async (t) => {
  const pool = temporaryPool(t);
  await pool.run('CREATE TABLE item (id INTEGER PRIMARY KEY)');
  await pool.run('CREATE TABLE tag (item INTEGER REFERENCES item (id) DEFERRABLE INITIALLY DEFERRED)');
  const tx = await pool.openTransaction().begun;
  await tx.run(() => pool.run('INSERT INTO tag VALUES (7)'));
  const error = await t.throwsAsync(tx.commit(), { code: 'SQLITE_CONSTRAINT_FOREIGNKEY' });
  t.is(await t.throwsAsync(tx.commit()), error);
  await tx.rollback();
  t.like(pool.stats(), empty);
  t.deepEqual(await pool.all('SELECT * FROM tag'), []);
});

test('one that SQLite has rolled back by itself can not be committed', async (t) => {
  const pool = temporaryPool(t);
  await pool.run('CREATE TABLE item (id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK)');
  const tx = await pool.openTransaction().begun;
  await tx.run(() => pool.run('INSERT INTO item VALUES (1)'));
  await t.throwsAsync(
    tx.run(() => pool.run('INSERT INTO item VALUES (1)')),
    { code: 'SQLITE_CONSTRAINT_PRIMARYKEY' },
  );
  await t.throwsAsync(
    tx.run(() => pool.run('INSERT INTO item VALUES (2)')),
    refusal('TRANSACTION_ABORTED'),
  );
  await t.throwsAsync(tx.commit(), refusal('TRANSACTION_ABORTED'));
  await tx.rollback();
  t.like(pool.stats(), empty);
  t.deepEqual(await pool.all('SELECT * FROM item'), []);
});

test('a commit with an open iterator is refused, and rolled back', async (t) => {
  const pool = await openItems(t);
  const tx = await pool.openTransaction().begun;
  tx.run((db) => {
    insert(db, 'lost');
    db.prepare('SELECT * FROM item').iterate().next();
  });
  await t.throwsAsync(tx.commit(), { ...refusal('TRANSACTION_BUSY'), message: /an iterator was open/ });
  t.like(pool.stats(), empty);
  t.deepEqual(await namesIn(pool), []);
});

for (const end of ['commit', 'rollback'] as const) {
  test(`after its ${end} every way into it is closed, and nothing commits by itself`, async (t) => {
    const pool = await openItems(t);
    const tx = await pool.openTransaction().begun;
    const uses = () => [
      pool.run("INSERT INTO item VALUES ('late')"),
      pool.get("INSERT INTO item VALUES ('late') RETURNING name"),
      pool.withStatement("INSERT INTO item VALUES ('late')", (statement) => statement.run()),
      pool.connection(),
    ];
    const left = tx.run(async () => {
      await settled();
      await settled();
      await Promise.all(uses().map((use) => outlived(t, use, 'TRANSACTION_ENDED')));
    });
    const db = tx.run((handle) => handle);
    const kept = db.prepare("INSERT INTO item VALUES ('late')");
    await tx[end]();
    await Promise.all(tx.run(uses).map((use) => outlived(t, use, 'TRANSACTION_ENDED')));
    t.throws(() => tx.run(() => kept.run()), refusal('TRANSACTION_ENDED'));
    t.throws(() => tx.run((same) => insert(same, 'late')), refusal('TRANSACTION_ENDED'));
    t.throws(() => kept.run(), refusal('TRANSACTION_ENDED'));
    await left;
    t.deepEqual(await namesIn(pool), []);
    t.like(pool.stats(), empty);
  });
}

test('a snapshot that is opened sees the same until its end, and can not write', async (t) => {
  const pool = await openItems(t);
  const snapshot = await pool.openTransaction({ mode: 'read' }).begun;
  t.like(pool.stats(), { leased: 1, laneHeld: 0 });
  t.is(pool.leases()[0]?.mode, 'read');
  await pool.run("INSERT INTO item VALUES ('later')");
  t.deepEqual(await snapshot.run(() => namesIn(pool)), []);
  await t.throwsAsync(
    snapshot.run(() => pool.run("INSERT INTO item VALUES ('refused')")),
    refusal('READ_ONLY'),
  );
  await snapshot.commit();
  t.deepEqual(await namesIn(pool), ['later']);
});

for (const mode of ['deferred', 'immediate', 'exclusive'] as const) {
  test(`the mode is as it was asked for: ${mode}`, async (t) => {
    const pool = await openItems(t);
    const tx = await pool.openTransaction({ mode }).begun;
    t.is(pool.leases()[0]?.mode, 'write');
    tx.run((db) => insert(db, mode));
    await tx.commit();
    t.deepEqual(await namesIn(pool), [mode]);
  });
}
