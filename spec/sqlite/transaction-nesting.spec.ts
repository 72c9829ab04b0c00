import test from 'ava';
import type { Nesting, SqlitePool } from '../../lib/index.ts';
import { settled } from '../support/gate.ts';
import { Enough, insert, namesIn, openItems, refusal } from '../support/items.ts';
import { temporaryPool } from '../support/sqlite.ts';

const settings = {
  bound: (pool: SqlitePool, fn: () => Promise<unknown>) => pool.withConnection(() => fn()),
  unbound: (_: SqlitePool, fn: () => Promise<unknown>) => fn(),
};

for (const [where, within] of Object.entries(settings)) {
  test(`a nested transaction is undone alone, ${where}`, async (t) => {
    const pool = await openItems(t);
    await within(pool, () =>
      pool.transaction(async (tx) => {
        insert(tx, 'before');
        await pool.transaction(async (inner) => {
          t.is(inner, tx);
          insert(inner, 'kept');
          await settled();
        });
        const undone = pool.transaction(async (inner) => {
          insert(inner, 'undone');
          await settled();
          throw new Enough();
        });
        await t.throwsAsync(undone, { instanceOf: Enough });
        insert(tx, 'after');
      }),
    );
    t.deepEqual(await namesIn(pool), ['before', 'kept', 'after']);
  });

  test(`what a nested transaction has done goes with the outer one, ${where}`, async (t) => {
    const pool = await openItems(t);
    const failing = within(pool, () =>
      pool.transaction(async () => {
        await pool.transaction((inner) => insert(inner, 'never'));
        throw new Enough();
      }),
    );
    await t.throwsAsync(failing, { instanceOf: Enough });
    t.deepEqual(await namesIn(pool), []);
  });

  test(`transactions nest to any depth, and each level can fail alone, ${where}`, async (t) => {
    const pool = await openItems(t);
    const depth = 12;
    /** Goes down to `depth`; on the way back every third level fails, and with it what is below. */
    const descend = async (level: number): Promise<void> => {
      await pool.transaction(async (tx) => {
        insert(tx, `${level} down`);
        if (level < depth) await descend(level + 1).catch((error: unknown) => t.true(error instanceof Enough));
        await settled();
        insert(tx, `${level} up`);
        if (level % 3 === 0) throw new Enough();
      });
    };
    await within(pool, () => descend(1));
    t.deepEqual(await namesIn(pool), ['1 down', '2 down', '2 up', '1 up']);
    t.like(pool.stats(), { leased: 0, laneHeld: 0 });
  });
}

test('handle.transaction nests in pool.transaction and the other way round', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(async (db) => {
    const nested = db.transaction(async (fails: boolean) => {
      insert(db, `handle ${fails}`);
      await pool.transaction((tx) => insert(tx, `pool ${fails}`));
      db.transaction(() => insert(db, `sync ${fails}`))();
      if (fails) throw new Enough();
    });
    await pool.transaction(async () => {
      await nested(false);
      await nested.exclusive(false);
      await t.throwsAsync(() => nested(true), { instanceOf: Enough });
    });
    t.false(db.inTransaction);
  });
  const once = ['handle false', 'pool false', 'sync false'];
  t.deepEqual(await namesIn(pool), [...once, ...once]);
});

test('a synchronous transaction function inside is a savepoint', async (t) => {
  const pool = await openItems(t);
  await pool.transaction(async (tx) => {
    const add = tx.transaction((name: string, fails: boolean) => {
      insert(tx, name);
      if (fails) throw new Enough();
    });
    add('cog', false);
    t.throws(() => add('never', true), { instanceOf: Enough });
    await settled();
    add.exclusive('cam', false);
    t.true(tx.inTransaction);
  });
  t.deepEqual(await namesIn(pool), ['cog', 'cam']);
});

test('a function that joins is part of the outer transaction', async (t) => {
  const pool = await openItems(t);
  await pool.transaction(async (tx) => {
    insert(tx, 'outer');
    const result = await pool.transaction(
      async (joined) => {
        t.is(joined, tx);
        insert(joined, 'joined');
        await settled();
        return 'result';
      },
      { nesting: 'join' },
    );
    t.is(result, 'result');
    await Promise.all([
      pool.transaction((joined) => insert(joined, 'one of two'), { nesting: 'join' }),
      pool.transaction((joined) => insert(joined, 'two of two'), { nesting: 'join' }),
    ]);
  });
  t.deepEqual(await namesIn(pool), ['outer', 'joined', 'one of two', 'two of two']);
});

test('when a function that joins fails, so does all it takes part in', async (t) => {
  const pool = await openItems(t);
  const cause = new Enough();
  const join = () =>
    pool.transaction(
      (joined) => {
        insert(joined, 'joined');
        throw cause;
      },
      { nesting: 'join' },
    );
  t.is(await t.throwsAsync(pool.transaction(() => join())), cause, 'Passed on, it comes through unchanged');
  const swallowing = pool.transaction(async (tx) => {
    await t.throwsAsync(() => join(), { is: cause });
    t.like(
      t.throws(() => insert(tx, 'after')),
      { ...refusal('TRANSACTION_ABORTED'), cause },
    );
    await t.throwsAsync(() => pool.transaction(() => t.fail()), refusal('TRANSACTION_ABORTED'));
    await t.throwsAsync(() => pool.get('SELECT 1'), refusal('TRANSACTION_ABORTED'));
  });
  t.like(await t.throwsAsync(swallowing), { ...refusal('TRANSACTION_ABORTED'), cause });
  const silent = pool.transaction(async () => {
    await join().catch(() => {});
  });
  t.like(await t.throwsAsync(silent), { ...refusal('TRANSACTION_ABORTED'), cause });
  t.deepEqual(await namesIn(pool), []);
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

test('a function that joins a nested transaction and fails takes the outermost with it', async (t) => {
  const pool = await openItems(t);
  const cause = new Enough();
  const outer = pool.transaction(async (tx) => {
    insert(tx, 'outer');
    const nested = pool.transaction(async () => {
      await pool.transaction(() => Promise.reject(cause), { nesting: 'join' }).catch(() => {});
    });
    t.like(await t.throwsAsync(nested), { ...refusal('TRANSACTION_ABORTED'), cause });
  });
  t.like(await t.throwsAsync(outer), { ...refusal('TRANSACTION_ABORTED'), cause });
  t.deepEqual(await namesIn(pool), []);
});

test('what joins or nests where there is nothing around is a transaction of its own', async (t) => {
  const pool = await openItems(t);
  for (const nesting of ['savepoint', 'join', 'separate'] satisfies Nesting[]) {
    await pool.transaction((tx) => insert(tx, nesting), { nesting });
    const failing = pool.transaction(
      (tx) => {
        insert(tx, 'never');
        throw new Enough();
      },
      { nesting },
    );
    await t.throwsAsync(failing, { instanceOf: Enough });
  }
  t.deepEqual(await namesIn(pool), ['savepoint', 'join', 'separate']);
});

test('a separate transaction inside a write transaction on the same file is refused at once', async (t) => {
  const pool = await openItems(t);
  const same = temporaryPool(t, { name: 'same file' }, pool.db.name);
  const other = await openItems(t);
  await pool.transaction(
    async (tx) => {
      const separate = () => pool.transaction(() => t.fail(), { nesting: 'separate', timeout: Infinity });
      const error = await t.throwsAsync(separate, refusal('WRITE_LOCKED'));
      t.like(error, { holder: { kind: 'transaction', label: 'payment' } });
      await t.throwsAsync(() => pool.transaction(separate), refusal('WRITE_LOCKED'));
      await t.throwsAsync(() => same.transaction(() => t.fail(), { timeout: Infinity }), refusal('WRITE_LOCKED'));
      insert(tx, 'cog');
      await other.transaction((elsewhere) => insert(elsewhere, 'elsewhere'));
    },
    { label: 'payment' },
  );
  await pool.withConnection(() =>
    pool.transaction(() =>
      t.throwsAsync(
        () => pool.transaction(() => t.fail(), { nesting: 'separate', timeout: Infinity }),
        refusal('WRITE_LOCKED'),
      ),
    ),
  );
  t.deepEqual(await namesIn(pool), ['cog']);
  t.deepEqual(await namesIn(other), ['elsewhere']);
});

test('a separate transaction beside one of the same scope waits its turn', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(async () => {
    const first = pool.transaction(async (tx) => {
      insert(tx, 'first');
      await settled();
      insert(tx, 'first again');
    });
    await Promise.all([first, pool.transaction((tx) => insert(tx, 'second'), { nesting: 'separate' })]);
  });
  t.deepEqual(await namesIn(pool), ['first', 'first again', 'second']);
});

test('a separate transaction inside a read writes for itself, and the snapshot does not see it', async (t) => {
  const pool = await openItems(t);
  const seen = await pool.read(async (db) => {
    await t.throwsAsync(
      pool.transaction(
        (tx) => {
          t.not(tx, db);
          insert(tx, 'never');
          throw new Enough();
        },
        { nesting: 'separate' },
      ),
      { instanceOf: Enough },
    );
    await pool.transaction((tx) => insert(tx, 'cog'), { nesting: 'separate' });
    return db.prepare('SELECT * FROM item').all();
  });
  t.deepEqual(seen, []);
  t.deepEqual(await namesIn(pool), ['cog']);
});

test('a separate transaction or read of a private database, whose one connection is taken, is refused at once', async (t) => {
  const pool = temporaryPool(t, {}, ':memory:');
  const options = { nesting: 'separate', timeout: 50 } as const;
  const refused = async (attempt: () => Promise<unknown>) => {
    const error = await t.throwsAsync<Error & { readonly code: string }>(attempt);
    t.not(error?.code, 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT');
  };
  await pool.transaction(async () => {
    await refused(() => pool.transaction(() => t.fail(), options));
    await refused(() => pool.read(() => t.fail(), options));
  });
  await pool.read(() => refused(() => pool.transaction(() => t.fail(), options)));
});

test('a read that joins a transaction and is not finished at its end takes the transaction with it', async (t) => {
  const pool = await openItems(t);
  const outer = pool.transaction(async (tx) => {
    insert(tx, 'never');
    const joined = pool.read((db) => void db.prepare('VALUES (1), (2)').iterate().next(), { nesting: 'join' });
    await t.throwsAsync(joined, refusal('TRANSACTION_BUSY'));
  });
  await t.throwsAsync(outer, refusal('TRANSACTION_ABORTED'));
  t.deepEqual(await namesIn(pool), []);
});
