import { setImmediate } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { Knex } from 'knex';
import type { SqlitePool, TransactionMessage } from '../../lib/index.ts';
import { watchTracing } from '../support/channels.ts';
import { gate } from '../support/gate.ts';
import { Enough, refusal } from '../support/items.ts';
import { isIdle, openKnex, startNow } from '../support/knex.ts';

/** The application. */
const ways: Readonly<Record<string, (db: Knex) => PromiseLike<unknown>>> = {
  'a query': async function asking(db) {
    await db('item').insert({ name: 'a' });
  },
  'queries side by side': async function asking(db) {
    await Promise.all([db('item').insert({ name: 'a' }), db('item').first()]);
  },
  'a transaction': async function asking(db) {
    await db.transaction(async (trx) => trx('item').insert({ name: 'a' }));
  },
  'a transaction that nobody awaits here': function asking(db) {
    return db.transaction(async (trx) => trx('item').insert({ name: 'a' })).then(() => {});
  },
  'a transaction without a function': async function asking(db) {
    const trx = await db.transaction();
    await trx('item').insert({ name: 'a' });
    await trx.commit();
  },
  'a transaction that switches foreign keys off': async function asking(db) {
    const options: object = { enforceForeignCheck: false };
    await db.transaction(async (trx) => trx('item').insert({ name: 'a' }), options);
  },
  'a stream': async function asking(db) {
    for await (const _ of db('item').stream());
  },
  'a named connection': async function asking(db) {
    const connection: unknown = await db.client.acquireConnection();
    await db('item').first().connection(connection);
    await db.client.releaseConnection(connection);
  },
  'a transaction on a named connection': async function asking(db) {
    const connection: unknown = await db.client.acquireConnection();
    await db.transaction(async (trx) => trx('item').insert({ name: 'a' }), { connection });
    await db.client.releaseConnection(connection);
  },
  'a setting': async function asking(db) {
    await db.raw('PRAGMA foreign_keys = OFF');
  },
  'a schema change': async function asking(db) {
    await db.schema.alterTable('item', (table) => void table.string('name', 9).alter());
  },
};

/** The stacks of all leases while `fn` runs. */
async function stacksOf(pool: SqlitePool, fn: () => PromiseLike<unknown>): Promise<(string | undefined)[]> {
  const stacks: (string | undefined)[] = [];
  const note = (): void => void stacks.push(...pool.leases().map(({ stack }) => stack));
  pool.on('acquire', note);
  await fn();
  pool.off('acquire', note);
  return stacks;
}

function leadHere(t: ExecutionContext, stacks: readonly (string | undefined)[]): void {
  t.true(stacks.length > 0);
  for (const stack of stacks) t.regex(stack ?? '', /asking \(.*knex-diagnosis\.spec\./);
}

for (const [what, asking] of Object.entries(ways)) {
  test(`the stack of what is held for ${what} leads to who asked for it`, async (t) => {
    const { pool, db } = await openKnex(t, { leakThreshold: 60_000 });
    leadHere(t, await stacksOf(pool, () => asking(db)));
    isIdle(t, pool);
  });
}

test('while a transaction waits for its turn to write, the stack of the one that has it leads to who asked for that', async (t) => {
  const { pool, db } = await openKnex(t, { leakThreshold: 60_000, acquireTimeout: 500 });
  const trx = await (async function asking() {
    return db.transaction();
  })();
  const error = await t.throwsAsync(startNow(db.transaction()), refusal('WRITE_TIMEOUT'));
  t.regex(error.message, /at asking \(spec\/orm\/knex-diagnosis\.spec\./);
  await trx.rollback();
  isIdle(t, pool);
});

test('of calls that mix, each is recorded where it was made', async (t) => {
  const { pool, db } = await openKnex(t, { leakThreshold: 60_000 });
  const open = gate();
  const one = async function one() {
    await db.transaction(async () => open.passed, { readOnly: true });
  };
  const other = async function other() {
    await pool.read(async () => open.passed);
  };
  const both = [one(), other(), one()];
  while (pool.stats().leased < 3) await setImmediate();
  const callers = pool.leases().map(({ stack }) => /at (?:async )?(one|other) /.exec(stack ?? '')?.[1]);
  t.is(callers.filter((caller) => caller === 'one').length, 2);
  t.is(callers.filter((caller) => caller === 'other').length, 1);
  open.open();
  await Promise.all(both);
  isIdle(t, pool);
});

test('what a named connection holds has the label of its scope', async (t) => {
  const { pool, db } = await openKnex(t);
  const labels = await pool.withScope(
    async () => {
      const connection: unknown = await db.client.acquireConnection();
      await db('item').insert({ name: 'a' }).connection(connection);
      const held = pool.leases().map(({ label }) => label);
      await db.client.releaseConnection(connection);
      return held;
    },
    { label: 'GET /items' },
  );
  t.deepEqual(labels, ['GET /items']);
});

test.serial('a transaction that is rolled back is traced with the error for which it is', async (t) => {
  const { pool, db } = await openKnex(t);
  const transactions = watchTracing<TransactionMessage>(t, 'leasehold:transaction', pool);
  const traced = () => transactions.told.at(-1)?.error;
  const thrown = new Enough();
  const fail = () => {
    throw thrown;
  };
  await t.throwsAsync(db.transaction(fail), { is: thrown });
  t.is(traced(), thrown);
  await t.throwsAsync(
    db.transaction(async () => fail()),
    { is: thrown },
  );
  t.is(transactions.messages.size, 2);
  t.is(traced(), thrown);
  const given = new Enough();
  const trx = await db.transaction();
  const ended = t.throwsAsync(trx.executionPromise, { is: given });
  await trx.rollback(given);
  await ended;
  t.is(traced(), given);
  const failed = await t.throwsAsync(db.transaction(async (inner) => inner.raw('select * from nowhere')));
  t.is(traced(), failed);
  isIdle(t, pool);
});

test.serial(
  'a nested transaction that is rolled back is traced with its error, and the one around it with none',
  async (t) => {
    const { pool, db } = await openKnex(t);
    const transactions = watchTracing<TransactionMessage>(t, 'leasehold:transaction', pool);
    const given = new Enough();
    await db.transaction(async (trx) => {
      const inner = await trx.transaction();
      const ended = t.throwsAsync(inner.executionPromise, { is: given });
      await inner.rollback(given);
      await ended;
      t.is(transactions.told.at(-1)?.error, given);
    });
    t.is(transactions.messages.size, 2);
    t.false('error' in (transactions.told.at(-1) ?? {}));
    isIdle(t, pool);
  },
);

test.serial('where a listener of Knex throws at the end, the transaction is traced with what it threw', async (t) => {
  const { pool, db } = await openKnex(t);
  const transactions = watchTracing<TransactionMessage>(t, 'leasehold:transaction', pool);
  const thrown = new Enough();
  db.on('query', ({ sql }: { sql: string }) => {
    if (sql.startsWith('COMMIT')) throw thrown;
  });
  await t.throwsAsync(
    db.transaction(async () => {}),
    { is: thrown },
  );
  t.is(transactions.told.at(-1)?.error, thrown);
  isIdle(t, pool);
});
