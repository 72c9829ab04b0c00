import { AsyncLocalStorage } from 'node:async_hooks';
import test from 'ava';
import type { AcquireMessage, TransactionMessage } from '../lib/index.ts';
import { watchTracing } from './support/channels.ts';
import { heldLane, outlived, watchedItems } from './support/dangling.ts';
import { settled } from './support/gate.ts';
import { insert, openItems, refusal } from './support/items.ts';

test('a label that is a function is asked anew by each lease, transaction and message', async (t) => {
  const { pool, dirt } = await watchedItems(t);
  const acquired: (string | undefined)[] = [];
  pool.on('acquire', ({ label }) => acquired.push(label));
  let route = 'GET /';
  const scope = pool.openScope({ label: () => route });
  await scope.run(() => pool.withConnection(() => {}));
  route = 'GET /items';
  await scope.run(() => pool.withConnection(() => {}));
  route = 'GET /items/:id';
  const tx = await scope.run(() => pool.openTransaction()).begun;
  t.is(pool.leases()[0]?.label, 'GET /items/:id');
  t.deepEqual(acquired, ['GET /', 'GET /items', 'GET /items/:id']);
  route = 'GET /gone';
  await scope.end();
  t.is(dirt[0]?.label, 'GET /gone');
  const error = await t.throwsAsync(tx.commit(), refusal('SCOPE_ENDED'));
  t.regex(error?.message ?? '', /^Scope #\d+ "GET \/gone" of /);
});

test('the connection of a scope is called what the scope is called by now; until it comes back it counts as what it was', async (t) => {
  const pool = await openItems(t);
  let route = 'before';
  const scope = pool.openScope({ label: () => route });
  await scope.run(() => pool.connection());
  route = 'after';
  t.is(pool.leases()[0]?.label, 'after');
  t.is(pool.stats({ by: 'label' }).find(({ leased }) => leased === 1)?.label, 'before');
  await scope.end();
});

test('one that was taken before there was a label shows the first that there is', async (t) => {
  const pool = await openItems(t);
  let route: string | undefined;
  const scope = pool.openScope({ label: () => route });
  await scope.run(() => pool.connection());
  t.is(pool.leases()[0]?.label, undefined);
  route = 'GET /items';
  t.is(pool.leases()[0]?.label, 'GET /items');
  await scope.end();
});

test('the label of a call counts before that of its scope', async (t) => {
  const pool = await openItems(t);
  const scope = pool.openScope({ label: () => 'scope' });
  const tx = await scope.run(() => pool.openTransaction({ label: 'call' })).begun;
  t.is(pool.leases()[0]?.label, 'call');
  await tx.rollback();
  const error = await t.throwsAsync(tx.commit(), refusal('TRANSACTION_ENDED'));
  t.like(error, { label: 'call' });
  await scope.end();
});

function throwing(): never {
  throw new Error('No route yet');
}

const useless: Record<string, unknown> = {
  'a function that throws': throwing,
  'one that throws nothing': () => {
    // oxlint-disable-next-line no-throw-literal, typescript/only-throw-error
    throw undefined;
  },
  'one that returns nothing': () => {},
  'one that returns a number': () => 42,
  'one that returns an object': () => ({ toString: throwing }),
  'one that returns a symbol': () => Symbol('label'),
  // As nobody would handle the rejection.
  'an async one that fails': () => Promise.reject(new Error('No route yet')),
  'a class': Map,
};

for (const [kind, label] of Object.entries(useless)) {
  test(`${kind} for a label is as none, and makes nothing fail`, async (t) => {
    const { pool, dirt } = await watchedItems(t);
    const release = await heldLane(t, pool);
    const scope = pool.openScope({ label: label as () => string });
    const refused = outlived(
      t,
      scope.run(() => pool.run("INSERT INTO item VALUES ('lost')")),
    );
    const db = await scope.run(() => pool.connection());
    t.is(pool.leases().at(-1)?.label, undefined);
    await scope.end();
    t.like(dirt, { 0: { label: undefined, traces: ['1 queued write'] }, length: 1 });
    const error = await refused;
    t.like(error, { label: undefined });
    t.throws(() => db.prepare('SELECT 1'), refusal('SCOPE_ENDED'));
    await release();
    await settled();
    t.like(pool.stats(), { leased: 0, laneHeld: 0 });
  });
}

test('a function that looks at the pool, or ends the scope, is asked no further', async (t) => {
  const pool = await openItems(t);
  const scope = pool.openScope({
    label: () => {
      void scope.end();
      return `${pool.leases().length} leases`;
    },
  });
  const db = scope.run(() => pool.connection());
  await t.throwsAsync(db, refusal('SCOPE_ENDED'));
  t.true(scope.ended);
  t.is(pool.stats().leased, 0);
});

test('a function is asked in the context of whoever needs the label', async (t) => {
  const pool = await openItems(t);
  const requests = new AsyncLocalStorage<string>();
  const scope = requests.run('GET /items', () => pool.openScope({ label: () => requests.getStore() }));
  await requests.run('GET /other', () => scope.run(() => pool.connection()));
  t.is(pool.leases()[0]?.label, 'GET /other');
  await scope.end();
});

test('a label is shown as it is to programs, and made harmless in messages', async (t) => {
  const pool = await openItems(t);
  const label = 'GET /\n\u001B[31mred';
  const scope = pool.openScope({ label: () => label });
  await scope.run(() => pool.connection());
  t.is(pool.leases()[0]?.label, label);
  await scope.end();
  const error = await t.throwsAsync(
    scope.run(() => pool.connection()),
    refusal('SCOPE_ENDED'),
  );
  t.like(error, { label });
  t.true(error?.message.includes('GET /'));
  const harmful = ['\u001B', '/\n'].filter((text) => error?.message.includes(text));
  t.deepEqual(harmful, []);
});

test.serial('what is traced in the scope has its label as it is then', async (t) => {
  const pool = await openItems(t);
  const transactions = watchTracing<TransactionMessage>(t, 'leasehold:transaction', pool);
  const acquires = watchTracing<AcquireMessage>(t, 'leasehold:acquire', pool);
  let route = 'first';
  const scope = pool.openScope({ label: () => route });
  const tx = await scope.run(() => pool.openTransaction()).begun;
  tx.run((db) => insert(db, 'kept'));
  await tx.commit();
  route = 'second';
  await scope.run(() => pool.withConnection(() => {}));
  t.deepEqual(
    [...transactions.messages].map((message) => (message as TransactionMessage).label),
    ['first'],
  );
  t.deepEqual(
    [...acquires.messages].map((message) => (message as AcquireMessage).label),
    ['first', 'second'],
  );
  await scope.end();
});

test('a connection that was bound before the label was known is accounted to the label of its end', async (t) => {
  const pool = await openItems(t);
  let label: string | undefined = 'GET /*';
  const scope = pool.openScope({ label: () => label });
  await scope.run(() => pool.connection());
  t.is(pool.leases()[0]?.label, 'GET /*');
  label = 'GET /items/:id';
  t.is(pool.leases()[0]?.label, 'GET /items/:id');
  const released: unknown[] = [];
  pool.on('release', (event) => void released.push(event.label));
  await scope.end();
  t.deepEqual(released, ['GET /items/:id']);
  t.deepEqual(
    new Map(
      pool
        .stats({ by: 'label' })
        .map((of) => [of.label, { leased: of.leased, acquired: of.acquired, held: of.holdTime.count }]),
    ),
    new Map([
      ['GET /items/:id', { leased: 0, acquired: 1, held: 1 }],
      ['GET /*', { leased: 0, acquired: 0, held: 0 }],
    ]),
  );
});

test('a lease that was taken without a label is accounted to the one its scope has by then', async (t) => {
  const pool = await openItems(t);
  let label: string | undefined;
  const scope = pool.openScope({ label: () => label });
  await scope.run(() => pool.connection());
  label = 'job';
  await scope.end();
  const [of, ...others] = pool.stats({ by: 'label' });
  t.like(of, { label: 'job', leased: 0, acquired: 1, holdTime: { count: 1 } });
  t.deepEqual(others, []);
});

test('a scope without a label is called as the one around it', async (t) => {
  const pool = await openItems(t);
  let label = 'early';
  const outer = pool.openScope({ label: () => label });
  const inner = outer.run(() => pool.openScope());
  await inner.run(() => pool.connection());
  label = 'late';
  t.is(pool.leases()[0]?.label, 'late');
  await inner.end();
  await outer.end();
  await pool.withScope(
    () =>
      pool.withScope(
        async () => {
          await pool.connection();
          t.is(pool.leases()[0]?.label, 'job');
        },
        { fresh: true },
      ),
    { label: 'job' },
  );
});
