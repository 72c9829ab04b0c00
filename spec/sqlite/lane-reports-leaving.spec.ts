import test, { type ExecutionContext } from 'ava';
import type { WriteHolder } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { WriteTimeoutError } from '../../lib/transaction-errors.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';

// Who comes too late finds out when the one before him leaves the lane, and that one is who he waited for.

const insert = 'INSERT INTO item VALUES (?)';

type Hold = (pool: SqlitePool, until: Promise<void>) => Promise<unknown>;

const label = 'POST /order';

const holds: readonly [what: string, kind: WriteHolder['kind'], hold: Hold][] = [
  [
    'a transaction on the connection of its scope',
    'transaction',
    (pool, until) => pool.withConnection(() => pool.transaction(() => until), { label }),
  ],
  [
    'a transaction function',
    'transaction',
    (pool, until) => pool.withConnection((db) => db.transaction(async () => until)(), { label }),
  ],
  ['a transaction', 'transaction', (pool, until) => pool.transaction(() => until, { label })],
  [
    'a transaction that fails',
    'transaction',
    (pool, until) =>
      pool.withConnection(
        () =>
          pool
            .transaction(async () => {
              await until;
              throw new Error('enough');
            })
            .catch(() => {}),
        { label },
      ),
  ],
  [
    'a write scope on the connection of the scope around it',
    'write scope',
    (pool, until) => pool.withConnection(() => pool.withConnection(() => until, { write: true }), { label }),
  ],
  ['a write scope', 'write scope', (pool, until) => pool.withConnection(() => until, { label, write: true })],
  [
    'a write scope with a transaction in it',
    'write scope',
    (pool, until) => pool.withConnection(() => pool.transaction(() => until), { label, write: true }),
  ],
  [
    'a scope that has bound a connection for writing',
    'write scope',
    (pool, until) =>
      pool.withScope(
        async () => {
          await pool.connection({ write: true });
          await until;
        },
        { label },
      ),
  ],
  [
    'a transaction begun by SQL',
    'raw transaction',
    (pool, until) =>
      pool.withConnection(
        async (db) => {
          db.exec('BEGIN IMMEDIATE');
          await until;
          db.exec('COMMIT');
        },
        { label },
      ),
  ],
];

async function twoPools(t: ExecutionContext) {
  const clock = new FakeClock();
  const file = temporaryFile(t);
  const pools = ['app', 'orders'].map((name) => new SqlitePool(file, { name }, clock)) as [SqlitePool, SqlitePool];
  const [app, orders] = pools;
  t.teardown(() => Promise.all(pools.map((pool) => pool.close({ timeout: 0 }))).then(() => {}));
  await app.run('CREATE TABLE item (name TEXT)');
  await orders.get('SELECT 1');
  return { clock, app, orders };
}

for (const [what, kind, hold] of holds) {
  test(`who expires in the very step in which ${what} leaves the lane is told what it was`, async (t) => {
    const { clock, app, orders } = await twoPools(t);
    const done = gate();
    const holding = hold(orders, done.passed);
    await settled();
    await clock.pass(10);
    const late = [1, 2].map(() =>
      t.throwsAsync<WriteTimeoutError>(app.run(insert, ['late'], { timeout: 100 }), { instanceOf: WriteTimeoutError }),
    );
    const inTime = app.run(insert, ['in time'], { timeout: 5000 });
    await settled();
    t.is(app.stats().laneWaiting, 3);
    // Their timer is late: it is the hand-off that finds their deadline has passed.
    clock.skip(200);
    done.open();
    await holding;
    for (const error of await Promise.all(late)) {
      t.like(error.holder, { pool: 'orders', label, kind, age: 210 });
      t.true(error.message.includes(`\n  ${label}  ${kind} of pool "orders" for 210 ms`), error.message);
      t.is(error.position, 1);
    }
    await inTime;
    t.deepEqual(await app.all('SELECT name FROM item'), [{ name: 'in time' }]);
    t.like(orders.stats(), { laneHeld: 0, laneWaiting: 0 });
  });
}

test('whom the next one keeps out afterwards is told of that one', async (t) => {
  const { clock, app, orders } = await twoPools(t);
  const [done, next] = [gate(), gate()];
  const holding = orders.withConnection(() => orders.transaction(() => done.passed), { label });
  await settled();
  const second = app.transaction(() => next.passed, { label: 'next' });
  const late = t.throwsAsync<WriteTimeoutError>(app.run(insert, ['late'], { timeout: 100 }));
  await settled();
  clock.skip(50);
  done.open();
  await holding;
  await settled();
  await clock.pass(60);
  t.like((await late).holder, { pool: 'app', label: 'next', kind: 'transaction' });
  next.open();
  await second;
});
