import test from 'ava';
import { gate } from '../support/gate.ts';
import { openPostgres } from '../support/postgres-items.ts';

async function withAccounts(t: Parameters<typeof openPostgres>[0]) {
  const pool = await openPostgres(t);
  await pool.query('CREATE TABLE account (id int PRIMARY KEY, amount int NOT NULL)');
  await pool.query('INSERT INTO account VALUES (1, 100), (2, 100)');
  const total = async () => (await pool.query<{ sum: number }>('SELECT sum(amount)::int FROM account')).rows[0]?.sum;
  return { pool, total };
}

test('a serialization failure is told without retries, and passes with them', async (t) => {
  const { pool } = await withAccounts(t);
  const clash = (retries: number) => {
    let runs = 0;
    return pool
      .transaction(
        async (tx) => {
          runs++;
          await tx.query('SELECT sum(amount) FROM account');
          if (runs === 1) {
            await pool.transaction((other) => other.query('UPDATE account SET amount = amount + 1 WHERE id = 1'), {
              isolation: 'serializable',
              nesting: 'separate',
            });
          }
          await tx.query('UPDATE account SET amount = amount + 1 WHERE id = 1');
        },
        { isolation: 'serializable', retries },
      )
      .then(() => runs);
  };
  await t.throwsAsync(clash(0), { code: '40001' });
  t.is(await clash(3), 2);
});

test('one that shows at COMMIT is retried, too', async (t) => {
  const { pool, total } = await withAccounts(t);
  let runs = 0;
  const arrived = [gate(), gate()];
  // Each reads what the other writes: whoever commits second fails.
  const skew = (own: number, other: number) => {
    let isFirst = true;
    return pool.transaction(
      async (tx) => {
        runs++;
        await tx.query('SELECT amount FROM account WHERE id = $1', [other]);
        if (isFirst) {
          isFirst = false;
          arrived[own - 1]?.open();
          await Promise.all(arrived.map(({ passed }) => passed));
        }
        await tx.query('UPDATE account SET amount = amount - 1 WHERE id = $1', [own]);
      },
      { isolation: 'serializable', retries: 10 },
    );
  };
  await Promise.all([skew(1, 2), skew(2, 1)]);
  t.true(runs >= 3);
  t.is(await total(), 198);
});

test('a deadlock ends in one of the two being run again', async (t) => {
  const { pool, total } = await withAccounts(t);
  let runs = 0;
  const arrived = [gate(), gate()];
  const move = (from: number, to: number) => {
    let isFirst = true;
    return pool.transaction(
      async (tx) => {
        runs++;
        await tx.query("SET LOCAL deadlock_timeout = '50ms'");
        await tx.query('UPDATE account SET amount = amount - 10 WHERE id = $1', [from]);
        if (isFirst) {
          isFirst = false;
          arrived[from - 1]?.open();
          await Promise.all(arrived.map(({ passed }) => passed));
        }
        await tx.query('UPDATE account SET amount = amount + 10 WHERE id = $1', [to]);
      },
      { retries: 5 },
    );
  };
  await Promise.all([move(1, 2), move(2, 1)]);
  t.is(runs, 3);
  t.is(await total(), 200);
  t.like(pool.stats(), { leased: 0, waiting: 0 });
});

test('an error in the words of CockroachDB is one that passes, also where the function has swallowed it', async (t) => {
  const { pool } = await withAccounts(t);
  let runs = 0;
  await pool.transaction(
    async (tx) => {
      runs++;
      if (runs < 3) {
        const raise =
          "DO $$ BEGIN RAISE EXCEPTION 'restart transaction: TransactionRetryWithProtoRefreshError' USING ERRCODE = 'P0001'; END $$";
        await tx.query(raise).catch(() => {});
      }
    },
    { retries: 5 },
  );
  t.is(runs, 3);
});

test('other errors are not retried, nor is a part of a transaction', async (t) => {
  const { pool } = await withAccounts(t);
  let runs = 0;
  const failing = () =>
    pool.transaction(
      async (tx) => {
        runs++;
        await tx.query('INSERT INTO account VALUES (1, 0)');
      },
      { retries: 5 },
    );
  await t.throwsAsync(failing(), { code: '23505' });
  t.is(runs, 1);
  const inner = () =>
    pool.transaction(
      () => {
        runs++;
        throw Object.assign(new Error('made up'), { code: '40001' });
      },
      { retries: 5 },
    );
  await t.throwsAsync(pool.transaction(inner), { code: '40001' });
  t.is(runs, 2);
});
