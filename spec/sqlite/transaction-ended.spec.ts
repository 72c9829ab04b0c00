import { EventEmitter } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { gate, settled } from '../support/gate.ts';
import { Enough, insert, namesIn, openItems, refusal } from '../support/items.ts';

const ended = refusal('TRANSACTION_ENDED');
const write = "INSERT INTO item VALUES ('never')";

/** All that a branch may try to do with a transaction it was part of. */
async function tryEverything(t: ExecutionContext, pool: SqlitePool, tx: LeasedDatabase, kept: Kept): Promise<void> {
  const attempts = {
    run: () => tx.prepare(write).run(),
    get: () => tx.prepare('SELECT 1').get(),
    all: () => tx.prepare('SELECT 1').all(),
    iterate: () => [...tx.prepare('SELECT 1').iterate()],
    exec: () => tx.exec(write),
    pragma: () => tx.pragma('user_version = 5'),
    explain: () => tx.explain('SELECT 1'),
    serialize: () => tx.serialize(),
    function: () => tx.function('stray', () => 1),
    synchronous: () => tx.transaction(() => insert(tx, 'never'))(),
    'kept statement': () => kept.statement.run('never'),
    'kept synchronous function': () => kept.synchronous(),
    'iterator begun inside': () => kept.rows.next(),
    'ambient run': () => pool.db.prepare(write).run(),
    'ambient exec': () => pool.db.exec(write),
    'ambient pragma': () => pool.db.pragma('user_version = 5'),
  };
  for (const [name, attempt] of Object.entries(attempts)) t.throws(attempt, ended, name);
  await t.throwsAsync(() => pool.run(write), ended);
  await t.throwsAsync(() => pool.get('SELECT 1'), ended);
  await t.throwsAsync(() => pool.all('SELECT 1'), ended);
  await t.throwsAsync(() => pool.get(`${write} RETURNING name`), ended);
  await t.throwsAsync(async () => tx.backup(`${pool.db.name}.copy`), ended);
}

interface Kept {
  readonly statement: { run(name: string): unknown };
  readonly synchronous: () => void;
  readonly rows: Iterator<unknown>;
}

/** What a function prepares while its transaction is open, the iterator run to its end so that it can be committed. */
function keep(tx: LeasedDatabase): Kept {
  const rows = tx.prepare('SELECT 1').iterate();
  while (rows.next().done !== true);
  return {
    statement: tx.prepare('INSERT INTO item VALUES (?)'),
    synchronous: tx.transaction(() => insert(tx, 'never')),
    rows,
  };
}

/** How work outlives the function that began it. */
const waysOut: Record<string, (work: () => Promise<void>, over: Promise<void>) => Promise<void>> = {
  'an un-awaited promise': async (work, over) => {
    await over;
    await work();
  },
  'a timer': (work, over) =>
    new Promise((resolve, reject) => {
      const look = setInterval(() => {
        void over.then(() => {
          clearInterval(look);
          work().then(resolve, reject);
        });
      }, 1);
    }),
  'a callback': (work, over) =>
    new Promise((resolve, reject) => {
      over.then(() => setImmediate(() => void work().then(resolve, reject)), reject);
    }),
  'a listener that is called by what began inside': (work, over) =>
    new Promise((resolve, reject) => {
      const emitter = new EventEmitter();
      emitter.once('over', () => void work().then(resolve, reject));
      void over.then(() => emitter.emit('over'));
    }),
};

for (const [kind, outlive] of Object.entries(waysOut)) {
  for (const outcome of ['commit', 'rollback'] as const) {
    test(`${kind} that outlives an unbound transaction is refused everything, after ${outcome}`, async (t) => {
      const pool = await openItems(t);
      const over = gate();
      let escaped: Promise<void> | undefined;
      await pool
        .transaction(async (tx) => {
          insert(tx, 'inside');
          const kept = keep(tx);
          escaped = outlive(() => tryEverything(t, pool, tx, kept), over.passed);
          await settled();
          if (outcome === 'rollback') throw new Enough();
        })
        .catch((error: unknown) => t.true(error instanceof Enough));
      over.open();
      await escaped;
      t.deepEqual(await namesIn(pool), outcome === 'commit' ? ['inside'] : []);
      t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
    });

    test(`${kind} that outlives a bound transaction is refused while its scope lives on, after ${outcome}`, async (t) => {
      const pool = await openItems(t);
      await pool.withConnection(async (db) => {
        const over = gate();
        let escaped: Promise<void> | undefined;
        await pool
          .transaction(async (tx) => {
            insert(tx, 'inside');
            const kept = keep(tx);
            escaped = outlive(async () => {
              await tryEverything(t, pool, tx, kept);
              await t.throwsAsync(() => pool.transaction(() => t.fail()), ended);
              await t.throwsAsync(() => pool.read(() => t.fail()), ended);
              await t.throwsAsync(() => tx.transaction(async () => t.fail())(), ended);
            }, over.passed);
            await settled();
            if (outcome === 'rollback') throw new Enough();
          })
          .catch((error: unknown) => t.true(error instanceof Enough));
        insert(db, 'the scope goes on');
        over.open();
        await escaped;
      });
      t.deepEqual(await namesIn(pool), outcome === 'commit' ? ['inside', 'the scope goes on'] : ['the scope goes on']);
    });
  }

  test(`${kind} that outlives a nested transaction is refused while the outer one lives on`, async (t) => {
    const pool = await openItems(t);
    for (const within of [(fn: () => Promise<void>) => pool.withConnection(fn), (fn: () => Promise<void>) => fn()]) {
      await within(() =>
        pool.transaction(async (tx) => {
          const over = gate();
          let escaped: Promise<void> | undefined;
          await pool.transaction(async (inner) => {
            const kept = keep(inner);
            escaped = outlive(async () => {
              await tryEverything(t, pool, tx, kept);
              await t.throwsAsync(() => pool.transaction(() => t.fail()), ended);
              await t.throwsAsync(() => pool.transaction(() => t.fail(), { nesting: 'join' }), ended);
            }, over.passed);
            await settled();
          });
          over.open();
          await escaped;
          insert(tx, 'the outer one goes on');
        }),
      );
    }
    t.deepEqual(await namesIn(pool), ['the outer one goes on', 'the outer one goes on']);
  });
}

test('what outlives a read is refused as well', async (t) => {
  const pool = await openItems(t);
  for (const within of [(fn: () => Promise<void>) => pool.withConnection(fn), (fn: () => Promise<void>) => fn()]) {
    await within(async () => {
      const over = gate();
      const escaped = await pool.read((db) => {
        const kept = keep(db);
        return { work: over.passed.then(() => tryEverything(t, pool, db, kept)) };
      });
      over.open();
      await escaped.work;
    });
  }
  t.deepEqual(await namesIn(pool), []);
});

test('a handle that was carried out of an unbound transaction is refused', async (t) => {
  const pool = await openItems(t);
  const tx = await pool.transaction((handle) => handle);
  t.throws(() => insert(tx, 'never'), { ...ended, message: /^Transaction of "app" has ended/ });
  t.false(tx.open);
  const labelled = await pool.transaction((handle) => handle, { label: 'payment' });
  t.like(
    t.throws(() => insert(labelled, 'never'), { ...ended, message: /^Transaction "payment" of "app" has ended/ }),
    { pool: 'app', label: 'payment' },
  );
});

test('work that outlives its scope may begin a transaction of its own', async (t) => {
  const pool = await openItems(t);
  for (const within of [
    (fn: () => Promise<unknown>) => pool.withConnection(fn),
    (fn: () => Promise<unknown>) => fn(),
  ]) {
    const over = gate();
    let escaped: Promise<void> | undefined;
    await within(() =>
      pool.transaction((tx) => {
        escaped = over.passed.then(async () => {
          t.throws(() => insert(tx, 'never'));
          await pool.transaction((own) => insert(own, 'a transaction of its own'));
          t.true(await pool.read((own) => own.inTransaction));
          await pool.withConnection((own) => insert(own, 'a connection of its own'));
        });
      }),
    );
    over.open();
    await escaped;
  }
  const own = ['a transaction of its own', 'a connection of its own'];
  t.deepEqual(await namesIn(pool), [...own, ...own]);
});

test('what outlives a bound transaction and its scope never commits by itself', async (t) => {
  const pool = await openItems(t);
  const over = gate();
  let escaped: Promise<void> | undefined;
  await pool.withConnection(() =>
    pool.transaction((tx) => {
      const kept = keep(tx);
      escaped = over.passed.then(async () => {
        for (const attempt of [
          () => insert(tx, 'never'),
          () => kept.statement.run('never'),
          () => pool.db.exec(write),
        ]) {
          t.throws(attempt, refusal('SCOPE_ENDED'));
        }
        await t.throwsAsync(() => pool.run(write));
        await t.throwsAsync(() => pool.get('SELECT 1'));
      });
    }),
  );
  over.open();
  await escaped;
  t.deepEqual(await namesIn(pool), []);
});

test('between the end of its function and the end of a part, no other branch gets in', async (t) => {
  const pool = await openItems(t);
  for (const fails of [true, false]) {
    await pool.transaction(async (tx) => {
      const [begun, done] = [gate(), gate()];
      const state = { over: false };
      const part = pool.transaction(async (inner) => {
        insert(inner, `part, fails ${fails}`);
        begun.open();
        await done.passed;
        if (fails) throw new Enough();
      });
      const outcome = part.then(
        () => {
          state.over = true;
        },
        () => {
          state.over = true;
        },
      );
      await begun.passed;
      done.open();
      // Looks in every microtask until the caller has been told.
      let ticks = 0;
      for (; !state.over && ticks < 100; ticks++) {
        try {
          t.is(tx.prepare("SELECT name FROM item WHERE name = 'part, fails true'").get(), undefined);
        } catch (error) {
          t.like(error, refusal('TRANSACTION_BUSY'));
        }
        await Promise.resolve();
      }
      t.true(ticks > 2 && ticks < 100);
      await outcome;
      insert(tx, 'afterwards');
    });
  }
  t.deepEqual(await namesIn(pool), ['afterwards', 'part, fails false', 'afterwards']);
});
