import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, SqlitePool, TransactionBusyError, TransactionBusyReason } from '../../lib/index.ts';
import { gate, settled } from '../support/gate.ts';
import { Enough, insert, namesIn, openItems, refusal } from '../support/items.ts';

/** Asserts that something is refused because the transaction is busy, and for which reason. */
async function isBusy(
  t: ExecutionContext,
  reason: TransactionBusyReason,
  attempt: () => Promise<unknown>,
): Promise<TransactionBusyError | undefined> {
  const error = await t.throwsAsync<TransactionBusyError>(attempt, refusal('TRANSACTION_BUSY'));
  t.is(error?.reason, reason);
  return error;
}

/** How a part of a transaction is begun. */
const ways = {
  'pool.transaction': (pool: SqlitePool, fn: () => Promise<void>) => pool.transaction(fn),
  'handle.transaction': (pool: SqlitePool, fn: () => Promise<void>) =>
    (pool.current as LeasedDatabase).transaction(async () => fn())(),
  'pool.read': (pool: SqlitePool, fn: () => Promise<void>) => pool.read(fn),
};

for (const [way, begin] of Object.entries(ways)) {
  test(`parts of a transaction that are started side by side by ${way} run one after the other, in order`, async (t) => {
    const pool = await openItems(t);
    const log: string[] = [];
    const part = async (name: string) => {
      log.push(`${name} begins`);
      await settled();
      pool.db.prepare('SELECT * FROM item').all();
      log.push(`${name} ends`);
    };
    await pool.transaction(() => Promise.all(['a', 'b', 'c'].map((name) => begin(pool, () => part(name)))));
    t.deepEqual(log, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  });

  test(`transactions of one scope that are started side by side by ${way} run one after the other, in order`, async (t) => {
    const pool = await openItems(t);
    const log: string[] = [];
    const one = async (name: string) => {
      log.push(`${name} begins`);
      await settled();
      t.true(pool.db.inTransaction);
      log.push(`${name} ends`);
    };
    await pool.withConnection(() => Promise.all(['a', 'b', 'c'].map((name) => begin(pool, () => one(name)))));
    t.deepEqual(log, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
    t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
  });
}

test('one of several siblings can fail without taking the others’ rows with it', async (t) => {
  const pool = await openItems(t);
  await pool.transaction(async () => {
    const outcomes = await Promise.allSettled(
      ['a', 'b', 'c', 'd'].map((name, index) =>
        pool.transaction(async (tx) => {
          insert(tx, name);
          await settled();
          await pool.transaction((inner) => insert(inner, `${name} within`));
          if (index % 2 === 0) throw new Enough();
        }),
      ),
    );
    t.deepEqual(
      outcomes.map(({ status }) => status),
      ['rejected', 'fulfilled', 'rejected', 'fulfilled'],
    );
  });
  t.deepEqual(await namesIn(pool), ['b', 'b within', 'd', 'd within']);
});

test('a function that joins waits for a part that is open, and two that join run side by side', async (t) => {
  const pool = await openItems(t);
  const both = gate();
  let joined = 0;
  const join = (name: string) =>
    pool.transaction(
      async (tx) => {
        joined++;
        if (joined === 2) both.open();
        await both.passed;
        insert(tx, name);
      },
      { nesting: 'join' },
    );
  await pool.transaction(async () => {
    const part = pool.transaction(async (tx) => {
      await settled();
      t.is(joined, 0);
      insert(tx, 'part');
    });
    await Promise.all([part, join('a'), join('b')]);
  });
  t.deepEqual(await namesIn(pool), ['part', 'a', 'b']);
});

test('a sibling with a higher priority comes before those that wait longer', async (t) => {
  const pool = await openItems(t);
  const log: string[] = [];
  const part = (name: string, priority: number) =>
    pool.transaction(
      async () => {
        log.push(name);
        await settled();
      },
      { priority },
    );
  await pool.transaction(() => Promise.all([part('first', 0), part('low', -1), part('usual', 0), part('high', 1)]));
  t.deepEqual(log, ['first', 'high', 'usual', 'low']);
});

test('a sibling that waits too long is refused, and the others go on', async (t) => {
  const pool = await openItems(t);
  const error = await pool.transaction(
    async () => {
      // The first waits for the second, which waits for the first.
      const second = gate<Promise<unknown>>();
      const first = pool.transaction(async (tx) => {
        insert(tx, 'first');
        return isBusy(t, 'timeout', () => second.passed);
      });
      second.open(pool.transaction(() => t.fail(), { timeout: 20 }));
      const refused = await first;
      await pool.transaction((tx) => insert(tx, 'third'));
      return refused;
    },
    { label: 'order' },
  );
  t.like(error, { pool: 'app', label: 'order' });
  t.regex(error?.message ?? '', /^Timed out after 20 ms waiting for transaction "order" of "app"/);
  t.deepEqual(await namesIn(pool), ['first', 'third']);
});

test('while a part is open, statements of the branches outside it are refused, however they are made', async (t) => {
  const pool = await openItems(t);
  await pool.transaction(async (tx) => {
    const kept = tx.prepare('INSERT INTO item VALUES (?)');
    const rows = tx.prepare('VALUES (1), (2)');
    const [begun, done] = [gate(), gate()];
    const part = pool.transaction(async (inner) => {
      begun.open();
      await done.passed;
      // An outer handle, and what was prepared on it, serves the branch inside.
      kept.run('kept statement');
      insert(tx, 'outer handle');
      insert(inner, 'its own');
      pool.db.exec("INSERT INTO item VALUES ('pool.db')");
      await pool.run("INSERT INTO item VALUES ('pool.run')");
      t.deepEqual([...rows.pluck().iterate()], [1, 2]);
    });
    await begun.passed;
    const attempts = {
      prepared: () => insert(tx, 'never'),
      kept: () => kept.run('never'),
      get: () => tx.prepare('SELECT 1').get(),
      all: () => rows.all(),
      iterate: () => [...rows.iterate()],
      exec: () => tx.exec("INSERT INTO item VALUES ('never')"),
      pragma: () => tx.pragma('user_version'),
      explain: () => tx.explain('SELECT 1'),
      serialize: () => tx.serialize(),
      function: () => tx.function('stray', () => 1),
      synchronous: () => tx.transaction(() => t.fail())(),
      ambient: () => pool.db.prepare('SELECT 1').get(),
      'ambient exec': () => pool.db.exec("INSERT INTO item VALUES ('never')"),
    };
    for (const [name, attempt] of Object.entries(attempts)) {
      t.like(t.throws(attempt, refusal('TRANSACTION_BUSY'), name), { reason: 'other branch' }, name);
    }
    await isBusy(t, 'other branch', () => pool.run("INSERT INTO item VALUES ('never')"));
    await isBusy(t, 'other branch', () => pool.get('SELECT 1'));
    await isBusy(t, 'other branch', () => pool.all('SELECT 1'));
    await isBusy(t, 'other branch', async () => tx.backup(`${pool.db.name}.copy`));
    done.open();
    await part;
    insert(tx, 'outside, afterwards');
  });
  t.deepEqual(await namesIn(pool), [
    'kept statement',
    'outer handle',
    'its own',
    'pool.db',
    'pool.run',
    'outside, afterwards',
  ]);
});

test('while a transaction runs on the scope’s connection, the rest of the scope is refused on it', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(
    async (db) => {
      const done = gate();
      const begun = gate();
      const other = gate();
      const outsider = db.prepare('INSERT INTO item VALUES (?)');
      const transaction = pool.transaction(
        async (tx) => {
          t.is(tx, db);
          begun.open();
          await done.passed;
          outsider.run('inside');
        },
        { label: 'payment' },
      );
      await begun.passed;
      t.like(
        t.throws(() => outsider.run('never')),
        { ...refusal('TRANSACTION_BUSY'), reason: 'other branch', label: 'payment', pool: 'app' },
      );
      t.throws(() => pool.db.exec('DELETE FROM item'), refusal('TRANSACTION_BUSY'));
      await t.throwsAsync(() => pool.run('DELETE FROM item'), refusal('TRANSACTION_BUSY'));
      // Whoever needs the database now takes a connection of its own.
      await pool.withConnection((fresh) => t.deepEqual(fresh.prepare('SELECT * FROM item').all(), []), { fresh: true });
      t.deepEqual(await pool.read((fresh) => fresh.prepare('SELECT * FROM item').all(), { nesting: 'separate' }), []);
      const next = pool.transaction((tx) => {
        other.open();
        insert(tx, 'the next one');
      });
      done.open();
      await transaction;
      await other.passed;
      await next;
      outsider.run('outside, afterwards');
    },
    { label: 'request' },
  );
  t.deepEqual(await namesIn(pool), ['inside', 'the next one', 'outside, afterwards']);
});

test('an iterator begun in one branch can not be stepped in another while that has a part open', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(async (db) => {
    const rows = db.prepare('VALUES (1), (2)').iterate();
    const reading = pool.read(async () => {
      await settled();
      t.throws(() => rows.next(), refusal('TRANSACTION_BUSY'));
    });
    t.is(rows.next().done, false);
    // The read finds the connection occupied; see the spec of what is unfinished.
    await isBusy(t, 'occupied', () => reading);
    rows.return?.();
  });
});

test('parts that wait are refused as soon as the transaction ends, though the part before them goes on', async (t) => {
  const pool = await openItems(t);
  const done = gate();
  let first: Promise<unknown> | undefined;
  let waiting: Promise<unknown> | undefined;
  const failing = pool.transaction(async () => {
    first = t.throwsAsync(
      pool.transaction(() => done.passed),
      refusal('TRANSACTION_ENDED'),
    );
    waiting = t.throwsAsync(
      pool.transaction(() => t.fail()),
      refusal('TRANSACTION_ENDED'),
    );
    await settled();
    throw new Enough();
  });
  await t.throwsAsync(failing, { instanceOf: Enough });
  await waiting;
  done.open();
  await first;
});

test('parts that still wait when the transaction ends are refused', async (t) => {
  const pool = await openItems(t);
  const never = () => t.fail();
  const left: Promise<unknown>[] = [];
  const failing = pool.transaction(() => {
    const begun = pool.transaction(() => settled());
    left.push(
      t.throwsAsync(begun, refusal('TRANSACTION_ENDED')),
      t.throwsAsync(pool.transaction(never), refusal('TRANSACTION_ENDED')),
      t.throwsAsync(pool.transaction(never, { nesting: 'join' }), refusal('TRANSACTION_ENDED')),
      t.throwsAsync(pool.read(never), refusal('TRANSACTION_ENDED')),
    );
    throw new Enough();
  });
  await t.throwsAsync(failing, { instanceOf: Enough });
  await Promise.all(left);
  t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
});

for (const where of ['bound', 'unbound']) {
  test(`when one of several fails in Promise.all, nothing of the others is kept, ${where}`, async (t) => {
    const pool = await openItems(t);
    const left: Promise<unknown>[] = [];
    const part = (name: string, fails = false) => {
      const running = pool.transaction(async (tx) => {
        insert(tx, name);
        await settled();
        if (fails) throw new Enough();
        insert(tx, `${name} again`);
      });
      left.push(running);
      return running;
    };
    const run = async () => {
      const failing = pool.transaction(() => Promise.all([part('a'), part('b', true), part('c'), part('d')]));
      await t.throwsAsync(failing, { instanceOf: Enough });
      const outcomes = await Promise.allSettled(left);
      const codes = outcomes.map((outcome) =>
        outcome.status === 'rejected' ? (outcome.reason as { code?: string }).code : 'none',
      );
      const ended = 'ERR_LEASEHOLD_TRANSACTION_ENDED';
      t.deepEqual(codes, ['none', undefined, ended, ended]);
    };
    await (where === 'bound' ? pool.withConnection(run) : run());
    t.deepEqual(await namesIn(pool), []);
    t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
  });
}
