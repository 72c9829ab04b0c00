import test from 'ava';
import { gate } from '../support/gate.ts';
import { insertion, openPostgres, withItems } from '../support/postgres-items.ts';

const settings = 'SELECT current_setting($1) AS value';

test('isolation, read only and deferrable are as asked for', async (t) => {
  const pool = await openPostgres(t);
  const look = async (options: Parameters<typeof pool.transaction>[1]) =>
    pool.transaction(async (tx) => {
      const found: unknown[] = [];
      for (const name of ['transaction_isolation', 'transaction_read_only', 'transaction_deferrable']) {
        found.push((await tx.query<{ value: string }>(settings, [name])).rows[0]?.value);
      }
      return found;
    }, options);
  t.deepEqual(await look({}), ['read committed', 'off', 'off']);
  t.deepEqual(await look({ isolation: 'serializable' }), ['serializable', 'off', 'off']);
  t.deepEqual(await look({ isolation: 'repeatable read', readOnly: true }), ['repeatable read', 'on', 'off']);
  t.deepEqual(await look({ isolation: 'serializable', readOnly: true, deferrable: true }), [
    'serializable',
    'on',
    'on',
  ]);
  await t.throwsAsync(look({ isolation: 'snapshot' as never }), {
    code: 'ERR_LEASEHOLD_OPTIONS',
    message: /'serializable'/,
  });
});

test('read sees one snapshot while others commit, and can not write', async (t) => {
  const { pool, names } = await withItems(t);
  await pool.query(insertion, ['before']);
  await pool
    .read(async (db) => {
      const count = async () => (await db.query<{ n: number }>('SELECT count(*)::int AS n FROM item')).rows[0]?.n;
      t.is(await count(), 1);
      await pool.withConnection((other) => other.query(insertion, ['meanwhile']), { fresh: true });
      t.is(await count(), 1);
      await t.throwsAsync(db.query(insertion, ['never']), { code: 'ERR_LEASEHOLD_READ_ONLY' });
    })
    .catch((error: { code?: string }) => t.is(error.code, 'ERR_LEASEHOLD_TRANSACTION_ABORTED'));
  t.deepEqual(await names(), ['before', 'meanwhile']);
});

test('to read within a transaction is a part of it in which writes are refused, and after which they are not', async (t) => {
  const { pool, names } = await withItems(t);
  await pool.transaction(async (tx) => {
    await tx.query(insertion, ['first']);
    await pool.read(async (db) => {
      t.is((await db.query<{ n: number }>('SELECT count(*)::int AS n FROM item')).rows[0]?.n, 1);
    });
    await t.throwsAsync(
      pool.read((db) => db.query(insertion, ['never'])),
      { code: 'ERR_LEASEHOLD_READ_ONLY' },
    );
    await tx.query(insertion, ['second']);
  });
  t.deepEqual(await names(), ['first', 'second']);
});

test('what has failed once is refused until it is rolled back, and says what has failed first', async (t) => {
  const { pool, names } = await withItems(t);
  await pool.query(insertion, ['there']);
  const error = await t.throwsAsync(
    pool.transaction(async (tx) => {
      await tx.query(insertion, ['lost']);
      await t.throwsAsync(tx.query(insertion, ['there']), { code: '23505' });
      await t.throwsAsync(tx.query('SELECT 1'), { code: 'ERR_LEASEHOLD_TRANSACTION_ABORTED' });
    }),
    { code: 'ERR_LEASEHOLD_TRANSACTION_ABORTED' },
  );
  t.like(error?.cause, { code: '23505' });
  t.false(error?.message.includes('there'), 'no value is told');
  t.deepEqual(await names(), ['there']);
  t.like(pool.stats(), { leased: 0, size: 1 });
});

test('a part that fails is undone alone, and what is around it goes on', async (t) => {
  const { pool, names } = await withItems(t);
  await pool.transaction(async (tx) => {
    await tx.query(insertion, ['one']);
    const part = pool.transaction(async (inner) => {
      await inner.query(insertion, ['two']);
      await inner.query(insertion, ['one']);
    });
    await t.throwsAsync(part, { code: '23505' });
    await pool.transaction((inner) => inner.query(insertion, ['three']));
  });
  t.deepEqual(await names(), ['one', 'three']);
});

test('statements that nobody awaited are part of what is committed', async (t) => {
  const { pool, names } = await withItems(t);
  await pool.transaction((tx) => {
    for (const name of ['one', 'two', 'three']) void tx.query(insertion, [name]);
  });
  t.deepEqual(await names(), ['one', 'two', 'three']);
});

test('one of them that fails keeps the others from being committed', async (t) => {
  const { pool, names } = await withItems(t);
  const late: Promise<unknown>[] = [];
  const error = await t.throwsAsync(
    pool.transaction((tx) => {
      for (const name of ['one', 'one', 'two'])
        late.push(tx.query(insertion, [name]).catch((reason: unknown) => reason));
    }),
    { code: 'ERR_LEASEHOLD_TRANSACTION_ABORTED' },
  );
  t.like(error?.cause, { code: '23505' });
  t.like(await Promise.all(late), [{ rowCount: 1 }, { code: '23505' }, { code: 'ERR_LEASEHOLD_TRANSACTION_ABORTED' }]);
  t.deepEqual(await names(), []);
});

test('a statement that waits behind another is refused when a part that can not be undone alone fails meanwhile', async (t) => {
  const { pool, names } = await withItems(t);
  const refused = await t.throwsAsync(
    pool.transaction(async (tx) => {
      const sleeping = tx.query('SELECT pg_sleep(0.1)');
      const queued = t.throwsAsync(tx.query(insertion, ['late']), { code: 'ERR_LEASEHOLD_TRANSACTION_ABORTED' });
      const part = pool.transaction(() => Promise.reject(new Error('enough')), { nesting: 'join' });
      await t.throwsAsync(part, { message: 'enough' });
      await sleeping;
      await queued;
    }),
    { code: 'ERR_LEASEHOLD_TRANSACTION_ABORTED' },
  );
  t.like(refused?.cause, { message: 'enough' });
  t.deepEqual(await names(), []);
});

test('what runs when the function throws is cancelled, not waited for', async (t) => {
  const pool = await openPostgres(t);
  let sleeping: Promise<unknown> | undefined;
  let queued: Promise<unknown> | undefined;
  const failing = pool.transaction((tx) => {
    sleeping = tx.query('SELECT pg_sleep(50)').catch((reason: unknown) => reason);
    // Behind it in the queue: never sent.
    queued = tx.query('SELECT 1').catch((reason: unknown) => reason);
    throw new Error('enough');
  });
  await t.throwsAsync(failing, { message: 'enough' });
  t.like(await sleeping, { code: '57014' });
  t.like(await queued, { code: 'ERR_LEASEHOLD_TRANSACTION_ENDED' });
  t.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

test('a statement of another branch is refused while a part is open, also when it had to wait for its turn', async (t) => {
  const { pool, names } = await withItems(t);
  await pool.transaction(async (tx) => {
    const inside = gate();
    const done = gate();
    const part = pool.transaction(async (inner) => {
      await inner.query(insertion, ['part']);
      inside.open();
      await done.passed;
    });
    // Asked for while the savepoint is on its way.
    const early = tx.query(insertion, ['early']).catch((reason: unknown) => reason);
    await inside.passed;
    await t.throwsAsync(tx.query(insertion, ['late']), { code: 'ERR_LEASEHOLD_TRANSACTION_BUSY' });
    done.open();
    await part;
    const outcome = (await early) as { code?: string; rowCount?: number };
    t.true(outcome.code === 'ERR_LEASEHOLD_TRANSACTION_BUSY' || outcome.rowCount === 1);
    await tx.query(insertion, ['after']);
  });
  t.true((await names()).includes('after'));
});

test('SQL can not begin or end anything in a managed transaction, in whatever disguise', async (t) => {
  const { pool, names } = await withItems(t);
  const disguises = [
    'COMMIT',
    '/* a /* b */ c */ rollback',
    'SELECT 1; end',
    '-- x\n;; BEGIN',
    'start  transaction',
    'select $a$;$a$;abort',
  ];
  await pool.transaction(async (tx) => {
    for (const text of disguises)
      await t.throwsAsync(tx.query(text), { code: 'ERR_LEASEHOLD_TRANSACTION_MANAGED' }, text);
    await tx.query(insertion, ["COMMIT; it's a value"]);
  });
  t.deepEqual(await names(), ["COMMIT; it's a value"]);
});

test('a transaction that was begun by SQL is the holder’s own, and is rolled back if he leaves it', async (t) => {
  const { pool, names } = await withItems(t);
  const dirt: unknown[] = [];
  pool.on('dirty', ({ traces }) => dirt.push(traces));
  await pool.withConnection(async (db) => {
    await db.query('BEGIN');
    await db.query(insertion, ['kept']);
    await t.throwsAsync(
      pool.transaction(() => {}),
      { code: 'ERR_LEASEHOLD_TRANSACTION_BUSY' },
    );
    await db.query('COMMIT');
    await db.query('BEGIN');
    await db.query(insertion, ['lost']);
  });
  t.deepEqual(await names(), ['kept']);
  t.deepEqual(dirt, [['open transaction']]);
  await t.throwsAsync(pool.query('BEGIN'), { code: 'ERR_LEASEHOLD_NO_CONNECTION' });
});

test('work that outlives its transaction is refused', async (t) => {
  const { pool, names } = await withItems(t);
  const go = gate();
  let late: Promise<unknown> | undefined;
  await pool.withConnection(async (db) => {
    await pool.transaction((tx) => {
      late = go.passed.then(() => tx.query(insertion, ['late']));
    });
    go.open();
    await t.throwsAsync(late as Promise<unknown>, { code: 'ERR_LEASEHOLD_TRANSACTION_ENDED' });
    await db.query(insertion, ['after']);
  });
  t.deepEqual(await names(), ['after']);
});
