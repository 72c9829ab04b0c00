import { context, trace } from '@opentelemetry/api';
import test, { type ExecutionContext } from 'ava';
import type { SqlitePoolOptions } from '../../lib/index.ts';
import { instrument } from '../../lib/telemetry/opentelemetry.ts';
import { gate, settled } from '../support/gate.ts';
import { Enough, insert, namesIn, openItems, refusal } from '../support/items.ts';
import { metricsSdk, tracingSdk } from '../support/opentelemetry.ts';

// A span takes the async context with it, as scopes and transactions do. Neither may lose the other’s.

async function traced(t: ExecutionContext, options?: SqlitePoolOptions) {
  const pool = await openItems(t, options);
  const sdk = tracingSdk(t);
  const { meterProvider } = metricsSdk(t);
  const watch = instrument(pool, { meterProvider, tracerProvider: sdk.tracerProvider });
  t.teardown(() => watch.stop());
  return { ...sdk, pool };
}

test('in a span within a transaction, the pool still knows whose connection it is', async (t) => {
  const { pool, inSpan } = await traced(t);
  await inSpan('GET /', () =>
    pool.transaction(async (tx) => {
      t.is(pool.current, tx);
      await inSpan('child', async () => {
        t.is(pool.current, tx);
        pool.db.prepare('INSERT INTO item VALUES (?)').run('a');
        await settled();
        t.is(pool.current, tx);
        await pool.transaction((inner) => insert(inner, 'b'));
        t.is(pool.stats().leased, 1, 'a savepoint on the same connection');
      });
      await pool.run('INSERT INTO item VALUES (?)', ['c']);
      t.true(tx.inTransaction);
    }),
  );
  t.is(pool.current, undefined);
  t.deepEqual(await namesIn(pool), ['a', 'b', 'c']);
});

test('the context of the caller is what it was, for spans and for scopes, after a transaction has ended however', async (t) => {
  const { pool, inSpan } = await traced(t);
  await inSpan('GET /', async () => {
    const active = context.active();
    await pool.withConnection(async (db) => {
      await pool.transaction(() => settled());
      t.is(context.active(), active);
      t.is(pool.current, db);
      await t.throwsAsync(
        pool.transaction(() => Promise.reject(new Enough())),
        { instanceOf: Enough },
      );
      t.is(context.active(), active);
      t.is(pool.current, db);
      insert(db, 'by itself');
    });
    // Not awaited: what comes next in the same step is no part of it.
    const running = pool.transaction(() => settled());
    t.is(context.active(), active);
    t.is(pool.current, undefined);
    await running;
  });
  t.is(trace.getSpan(context.active()), undefined);
  t.deepEqual(await namesIn(pool), ['by itself']);
});

test('a savepoint is rolled back alone, a transaction whole', async (t) => {
  const { pool, inSpan } = await traced(t);
  await inSpan('GET /', () =>
    pool.transaction(async (tx) => {
      insert(tx, 'a');
      await t.throwsAsync(
        pool.transaction(async () => {
          await inSpan('child', () => pool.run('INSERT INTO item VALUES (?)', ['undone']));
          throw new Enough();
        }),
        { instanceOf: Enough },
      );
      insert(tx, 'b');
    }),
  );
  await t.throwsAsync(
    pool.transaction(async (tx) => {
      insert(tx, 'undone');
      await pool.transaction((inner) => insert(inner, 'undone'));
      throw new Enough();
    }),
    { instanceOf: Enough },
  );
  t.deepEqual(await namesIn(pool), ['a', 'b']);
});

test('a branch outside the savepoint that is open is refused, in whatever span it is', async (t) => {
  const { pool, inSpan } = await traced(t);
  const open = gate();
  await pool.transaction(async (tx) => {
    const nested = inSpan('nested', () =>
      pool.transaction(async () => {
        await open.passed;
        insert(tx, 'inside');
      }),
    );
    await settled();
    await inSpan('sibling', () => t.throws(() => insert(tx, 'outside'), refusal('TRANSACTION_BUSY')));
    await inSpan('sibling', () => t.throwsAsync(pool.run('DELETE FROM item'), refusal('TRANSACTION_BUSY')));
    open.open();
    await nested;
    insert(tx, 'after');
  });
  t.deepEqual(await namesIn(pool), ['inside', 'after']);
});

test('savepoints started side by side run one after the other', async (t) => {
  const { pool, inSpan } = await traced(t);
  await pool.transaction(() =>
    Promise.all(
      ['a', 'b', 'c'].map((name) =>
        inSpan(name, () =>
          pool.transaction(async (tx) => {
            insert(tx, `${name} 1`);
            await settled();
            insert(tx, `${name} 2`);
          }),
        ),
      ),
    ),
  );
  t.deepEqual(await namesIn(pool), ['a 1', 'a 2', 'b 1', 'b 2', 'c 1', 'c 2']);
});

test('what outlives its transaction is refused, though its span goes on', async (t) => {
  const { pool, inSpan } = await traced(t);
  const over = gate();
  const late: Promise<unknown>[] = [];
  await pool.transaction((tx) => {
    const outlive = async () => {
      await over.passed;
      t.throws(() => insert(tx, 'late'), refusal('TRANSACTION_ENDED'));
      await t.throwsAsync(pool.run('INSERT INTO item VALUES (?)', ['late']), refusal('TRANSACTION_ENDED'));
    };
    late.push(inSpan('outlives', outlive));
  });
  over.open();
  await Promise.all(late);
  t.deepEqual(await namesIn(pool), []);
});

test('many requests at once, each with spans, transactions and savepoints, keep all of them apart', async (t) => {
  const { pool, inSpan, paths, spans } = await traced(t, { max: 4 });
  const requests = Array.from({ length: 40 }, (_, index) => `r${index}`);
  await Promise.all(
    requests.map((name, index) =>
      inSpan(name, async () => {
        await pool.read(async (db) => {
          await settled();
          await inSpan(`${name} reads`, () => t.is(pool.current, db));
        });
        const writing = pool.transaction(async (tx) => {
          insert(tx, name);
          await settled();
          await pool.transaction(async (inner) => {
            await inSpan(`${name} writes`, () => insert(inner, name));
            await settled();
          });
          if (index % 4 === 0) throw new Enough();
        });
        await (index % 4 === 0 ? t.throwsAsync(writing, { instanceOf: Enough }) : writing);
        await inSpan(`${name} ends`, () => {});
      }),
    ),
  );
  const expected = requests.filter((_, index) => index % 4 !== 0).flatMap((name) => [name, name]);
  t.deepEqual((await namesIn(pool)).toSorted(), expected.toSorted());
  const at = new Set(paths());
  const transaction = 'leasehold.transaction';
  for (const name of requests) {
    t.true(at.has(`${name} > ${transaction} > ${name} reads`), name);
    t.true(at.has(`${name} > ${transaction} > ${transaction} > ${name} writes`), name);
    t.true(at.has(`${name} > ${name} ends`), name);
  }
  t.is(spans().filter(({ name }) => name === transaction).length, 3 * requests.length);
  t.like(pool.stats(), { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 });
});

const secret = 'swordfish';

test('no SQL and no bound value is in any attribute, event or status, whatever fails', async (t) => {
  const { pool, inSpan, spans } = await traced(t, { max: 1, leakThreshold: 60_000 });
  await pool.run('CREATE UNIQUE INDEX name ON item (name)');
  const insertion = 'INSERT INTO item VALUES (?)';
  await inSpan('GET /', async () => {
    await pool.run(insertion, [secret]);
    await t.throwsAsync(
      pool.transaction((tx) => insert(tx, secret)),
      { code: 'SQLITE_CONSTRAINT_UNIQUE' },
    );
    await t.throwsAsync(
      pool.read((db) => db.prepare('SELECT nothing FROM item WHERE name = ?').get(secret)),
      { code: 'SQLITE_ERROR' },
    );
    await pool.transaction(async (tx) => {
      tx.prepare('SELECT * FROM item WHERE name = ?').all(secret);
      await t.throwsAsync(
        pool.read(() => insert(tx, secret)),
        refusal('READ_ONLY'),
      );
      const name = { name: secret };
      await t.throwsAsync(pool.run(insertion, [secret], { timeout: 1 }), { code: 'SQLITE_CONSTRAINT_UNIQUE' });
      tx.prepare('UPDATE item SET name = name WHERE name = @name').run(name);
    });
    await pool.withConnection(async (db) => {
      db.prepare('SELECT * FROM item WHERE name = ?').all(secret);
      await t.throwsAsync(
        pool
          .get('SELECT * FROM item WHERE name = ?', [secret], { timeout: 1 })
          .then(() => pool.acquire({ timeout: 1 })),
        refusal('ACQUIRE_TIMEOUT'),
      );
    });
    const open = gate();
    const writing = pool.transaction(async (tx) => {
      tx.prepare('DELETE FROM item WHERE name = ?').run(secret);
      await open.passed;
    });
    await settled();
    await t.throwsAsync(
      pool.transaction((tx) => insert(tx, secret), { timeout: 1 }),
      refusal('WRITE_TIMEOUT'),
    );
    open.open();
    await writing;
  });
  const told = JSON.stringify(
    spans().map(({ name, attributes, events, status }) => [name, attributes, events, status]),
  );
  t.true(spans().filter(({ status }) => status.message !== undefined).length >= 5);
  t.false(told.includes(secret));
  t.notRegex(told, /\b(?:INSERT|SELECT|UPDATE|DELETE|VALUES|WHERE)\b/);
});
