import { inspect } from 'node:util';
import test from 'ava';
import { compare, errorsOf, sample, temporaryPool, wrong } from '../support/sqlite.ts';

test('defaultSafeIntegers decides for statements prepared from then on', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const sql = 'SELECT id FROM item LIMIT 1';
    const before = db.prepare(sql);
    step(() => before.get());
    step(() => db.defaultSafeIntegers());
    step(() => db.prepare(sql).get());
    step(() => db.prepare(sql).safeIntegers(false).get());
    step(() => db.prepare("INSERT INTO item (name) VALUES ('cog')").run());
    step(() => db.prepare(sql).bind().get());
    step(() => [...db.prepare(sql).iterate()]);
    step(() => db.pragma('user_version'));
    step(() => db.explain('SELECT 1').length > 0);
    step(() => db.defaultSafeIntegers(false));
    step(() => db.prepare(sql).get());
    step(() => db.prepare(sql).safeIntegers().get());
    step(() => db.defaultSafeIntegers(true));
    step(() => db.prepare(sql).get());
    for (const state of [undefined, null, 1, 'true']) step(() => db.defaultSafeIntegers(wrong(state)));
    step(() => db.prepare(sql).get());
  });
  t.deepEqual(outcomes[2], { returned: { id: 1n } });
  t.is(errorsOf(outcomes), 4);
});

test('defaultSafeIntegers leaves a statement alone that was prepared before', async (t) => {
  // A statement of pool.db is prepared where it is used, so there only the order of use counts.
  const outcomes = await compare(
    t,
    ({ db, step }) => {
      const before = db.prepare('SELECT id FROM item LIMIT 1');
      db.defaultSafeIntegers();
      step(() => before.get());
      step(() => before.all());
    },
    { ambient: false },
  );
  t.deepEqual(outcomes[0], { returned: { id: 1 } });
});

test('functions take over the default of safe integers when they are registered', async (t) => {
  await compare(t, ({ db, step }) => {
    db.function('early', (x) => typeof x);
    db.defaultSafeIntegers();
    db.function('late', (x) => typeof x);
    step(() => db.prepare('SELECT early(1) AS early, late(1) AS late').get());
  });
});

test('unsafeMode lets statements run while another is iterated', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const rename = () => {
      const names: unknown[] = [];
      for (const { id, name } of db.prepare<[], { id: number; name: string }>('SELECT * FROM item').iterate()) {
        db.prepare('UPDATE item SET name = ? WHERE id = ?').run(`${name}!`, id);
        names.push(name);
      }
      return names;
    };
    step(rename);
    step(() => db.unsafeMode());
    step(rename);
    step(() => db.unsafeMode(false));
    step(rename);
    step(() => db.unsafeMode(true));
    for (const state of [undefined, null, 1]) step(() => db.unsafeMode(wrong(state)));
    step(rename);
    step(() => db.prepare('SELECT name FROM item').pluck().all());
  });
  t.deepEqual(outcomes[2], { returned: ['bolt', 'nut', 'washer'] });
  t.is(errorsOf(outcomes), 5);
});

test('a handle works behind a Proxy', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  await using lease = await pool.acquire();
  lease.exec(sample);
  const uses: PropertyKey[] = [];
  const db = new Proxy(lease, {
    get(target, key, receiver) {
      uses.push(key);
      return Reflect.get(target, key, receiver) as unknown;
    },
  });
  const statement = db.prepare('SELECT name FROM item WHERE id = ?').pluck();
  t.is(statement.get(1), 'bolt');
  t.is(statement.database, db);
  t.is(db.exec("INSERT INTO item (name) VALUES ('cog')"), db);
  t.is(db.pragma('user_version', { simple: true }), 0);
  t.is(db.transaction(() => db.prepare('SELECT count(*) FROM item').pluck().get())(), 4);
  t.is(
    db.function('one', () => 1),
    db,
  );
  t.true(db.open);
  t.true(uses.includes('prepare') && uses.includes('transaction'));
  t.is(db.close(), db);
  t.false(lease.open);
});

test('pool.db works behind a Proxy', async (t) => {
  const pool = temporaryPool(t);
  const db = new Proxy(pool.db, {});
  const statement = db.prepare('SELECT 7').pluck();
  await pool.withConnection(() => {
    t.is(statement.get(), 7);
    t.is(statement.database, db);
    t.is(db.exec('CREATE TABLE a (x)'), db);
  });
});

test('close returns the handle, gives the connection back and leaves the file open', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  const db = await pool.acquire();
  const { connection } = pool.leases()[0] ?? {};
  t.is(db.close(), db);
  t.false(db.open);
  t.is(pool.stats().idle, 1);
  await using next = await pool.acquire();
  t.true(next.open);
  t.is(pool.leases()[0]?.connection, connection);
});

test('`using` and `await using` give the connection back', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  {
    using db = await pool.acquire();
    t.true(db.open);
    t.is(pool.stats().leased, 1);
  }
  t.is(pool.stats().leased, 0);
  {
    await using db = await pool.acquire();
    t.true(db.open);
  }
  t.is(pool.stats().leased, 0);
  {
    await using db = await pool.acquire();
    db.close();
  }
  {
    using db = await pool.acquire();
    db.close();
  }
  t.is(pool.stats().counters.doubleReleases, 0, 'A disposal after close() is no second release');
});

test('`await using` waits for the onRelease hook', async (t) => {
  const seen: string[] = [];
  const pool = temporaryPool(t, {
    max: 1,
    async onRelease() {
      await Promise.resolve();
      seen.push('released');
    },
  });
  {
    await using db = await pool.acquire();
    db.exec('');
  }
  t.deepEqual(seen, ['released']);
});

test('discard has the connection closed at its return, and returns the handle', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  const reasons: string[] = [];
  pool.on('discard', (event) => void reasons.push(event.reason));
  const db = await pool.acquire();
  t.is(db.discard('it went bad'), db);
  t.is(db.prepare('SELECT 1').pluck().get(), 1, 'It can be used until then');
  db.close();
  t.is(pool.stats().size, 0);
  await pool.withConnection(() => pool.db.discard());
  t.deepEqual(reasons, ['it went bad', 'discarded by its holder']);
});

test('inspection shows a few facts, and nothing of the insides', async (t) => {
  const pool = temporaryPool(t);
  await pool.withConnection((db) => {
    t.regex(inspect(db), /^LeasedDatabase \{\s+name: '.*app\.db',\s+open: true,\s+inTransaction: false,/);
    t.regex(inspect(pool.db), /^AmbientDatabase \{\s+pool: 'app',\s+name: '.*app\.db',\s+open: true,/);
    for (const handle of [db, pool.db]) {
      const statement = handle.prepare('SELECT ? AS secret').bind('hunter2');
      t.regex(inspect(statement), /^Statement \{\s+source: 'SELECT \? AS secret'/);
      for (const text of [inspect(handle), inspect(statement), inspect({ handle, statement }, { depth: 9 })]) {
        t.notRegex(text, /hunter2|session|Symbol|clock|lease:/);
      }
    }
  });
  t.regex(inspect(pool.db), /open: false/, 'It can be inspected outside every scope');
});
