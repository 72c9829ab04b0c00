import test from 'ava';
import type { LeasedDatabase, OpenScope } from '../lib/index.ts';
import { watchedItems } from './support/dangling.ts';
import { gate, settled } from './support/gate.ts';
import { collected } from './support/gc.ts';
import { insert, namesIn, openItems, refusal } from './support/items.ts';
import { labelledPool } from './support/labels.ts';

test('code that runs in an open scope shares its connection, whichever call it came by', async (t) => {
  const pool = await openItems(t, { max: 2 });
  const scope = pool.openScope();
  t.is(scope.current, undefined, 'which costs none until somebody asks for one');
  t.is(pool.stats().leased, 0);
  t.throws(() => scope.db, refusal('NO_CONNECTION'));
  const db = await scope.run(() => pool.connection());
  t.is(scope.current, db);
  t.is(scope.db, db);
  t.is(
    scope.run(() => pool.current),
    db,
  );
  t.is(await scope.run(() => pool.connection()), db);
  t.is(await scope.run(() => pool.withConnection((same) => same)), db);
  t.is(pool.current, undefined, 'outside of it there is none');
  t.is(pool.stats().leased, 1);
  await scope.end();
  t.is(pool.stats().leased, 0);
});

test('run gives back what its function returns, and throws what it throws', async (t) => {
  const pool = await openItems(t);
  const scope = pool.openScope();
  const promise = Promise.resolve('later');
  t.is(
    scope.run(() => 'result'),
    'result',
  );
  t.is(
    scope.run(() => promise),
    promise,
  );
  const error = t.throws(
    () =>
      scope.run(() => {
        throw new TypeError('thrown');
      }),
    { instanceOf: TypeError },
  );
  t.is(error?.message, 'thrown');
  t.is(pool.current, undefined);
  t.false(scope.ended, 'a function that throws does not end it');
  await scope.end();
});

test('a scope without a connection takes one for each call, and gives it back at once', async (t) => {
  const pool = await openItems(t);
  const scope = pool.openScope();
  await scope.run(() => pool.withConnection((db) => insert(db, 'brief')));
  t.is(scope.current, undefined);
  t.is(pool.stats().leased, 0);
  t.deepEqual(await scope.run(() => namesIn(pool)), ['brief']);
  await scope.end();
});

test('after the end its functions are what is left over of it', async (t) => {
  const pool = await openItems(t);
  const scope = pool.openScope();
  const db = await scope.run(() => pool.connection());
  const left = scope.run(async () => {
    await settled();
    return pool.connection();
  });
  t.false(scope.ended);
  const ended = scope.end();
  t.true(scope.ended, 'at once');
  t.is(scope.current, undefined);
  await ended;
  await t.throwsAsync(left, refusal('SCOPE_ENDED'));
  await t.throwsAsync(
    scope.run(() => pool.connection()),
    refusal('SCOPE_ENDED'),
  );
  t.throws(() => scope.run(() => pool.db.prepare('SELECT 1').get()), refusal('SCOPE_ENDED'));
  t.throws(() => scope.db, refusal('SCOPE_ENDED'));
  t.throws(() => db.prepare('SELECT 1'), refusal('SCOPE_ENDED'));
  // What asks for a scope of its own gets it.
  t.is(await scope.run(() => pool.withConnection(() => 'own')), 'own');
  t.is(pool.stats().leased, 0);
});

test('every end waits for the same: until a hook has let its connection go', async (t) => {
  const returned = gate();
  const pool = await openItems(t, { onRelease: (db) => (db.inTransaction ? undefined : released()) });
  let hooks = 0;
  // Only that of the scope is held back.
  let isHeld = false;
  function released(): Promise<undefined> | undefined {
    hooks++;
    return isHeld ? returned.passed.then(() => undefined) : undefined;
  }
  const scope = pool.openScope();
  await scope.run(() => pool.connection());
  isHeld = true;
  const before = hooks;
  const ended: string[] = [];
  const first = scope.end().then(() => ended.push('first'));
  const second = scope.end().then(() => ended.push('second'));
  const third = scope[Symbol.asyncDispose]().then(() => ended.push('third'));
  await settled();
  t.deepEqual(ended, []);
  returned.open();
  await Promise.all([first, second, third]);
  t.is(ended.length, 3);
  t.is(hooks, before + 1, 'it comes back once');
  t.is(pool.stats().counters.doubleReleases, 0);
  isHeld = false;
});

test('a scope that is disposed of has ended', async (t) => {
  const pool = await openItems(t);
  let kept: OpenScope<LeasedDatabase> | undefined;
  {
    await using scope = pool.openScope();
    kept = scope;
    await scope.run(() => pool.connection());
    t.is(pool.stats().leased, 1);
  }
  t.true(kept.ended);
  t.is(pool.stats().leased, 0);
});

test('a scope can be ended by code that runs in it', async (t) => {
  const pool = await openItems(t);
  const scope = pool.openScope();
  await scope.run(async () => {
    await pool.connection();
    await scope.end();
    await t.throwsAsync(pool.connection(), refusal('SCOPE_ENDED'));
  });
  t.is(pool.stats().leased, 0);
});

test('whoever is told of what it leaves may end it once more, and waits for the same', async (t) => {
  const { pool, dirt } = await watchedItems(t);
  const scope = pool.openScope();
  const ends: Promise<void>[] = [];
  pool.on('dirty', () => ends.push(scope.end()));
  const tx = scope.run(() => pool.openTransaction());
  await tx.begun;
  const end = scope.end();
  t.deepEqual(ends, [end]);
  await end;
  t.is(dirt.length, 1);
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

test('inside another an open scope is one of its own, and ends by itself', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(async (outer) => {
    const scope = pool.openScope({ label: 'inner' });
    t.is(
      scope.run(() => pool.current),
      undefined,
    );
    const inner = await scope.run(() => pool.connection());
    t.not(inner, outer);
    t.is(pool.current, outer);
    t.is(pool.stats().leased, 2);
    await scope.end();
    t.is(pool.stats().leased, 1);
    t.is(pool.current, outer);
  });
});

test('an open scope outlives the one it was opened in, which tells of what it holds', async (t) => {
  const { pool, dirt } = await watchedItems(t);
  const scope = await pool.withScope(
    async () => {
      const inner = pool.openScope({ label: 'inner' });
      await inner.run(() => pool.connection());
      return inner;
    },
    { label: 'outer' },
  );
  t.false(scope.ended);
  t.is(scope.current?.prepare('SELECT 1').pluck().get(), 1);
  t.like(dirt, { 0: { label: 'outer' }, length: 1 });
  t.regex(dirt[0]?.traces.join() ?? '', /^lease #\d+ "inner"$/);
  await scope.end();
  t.is(pool.stats().leased, 0);
});

test('scopes of two pools nest without knowing of each other', async (t) => {
  const [a, b] = [await openItems(t), await openItems(t)];
  const outer = a.openScope();
  await outer.run(async () => {
    const db = await a.connection();
    const inner = b.openScope();
    await inner.run(async () => {
      const other = await b.connection();
      t.is(a.current, db);
      t.is(b.current, other);
    });
    await inner.end();
    t.is(a.current, db);
    t.is(b.current, undefined);
  });
  await outer.end();
  t.deepEqual([a.stats().leased, b.stats().leased], [0, 0]);
});

test('options that are none are refused when it is opened', async (t) => {
  const pool = await openItems(t);
  for (const options of [{ lable: 'x' }, { label: 5 }, { label: null }, { signal: {} }, { fresh: true }, 'x', null]) {
    t.throws(() => pool.openScope(options as never), refusal('OPTIONS'), JSON.stringify(options));
  }
  await pool.openScope({ label: undefined, signal: undefined }).end();
});

test('an open scope that is dropped with its connection is reported, and the connection recovered', async (t) => {
  const { pool, clock } = await labelledPool(t, { max: 1 });
  const leaks: string[] = [];
  pool.on('leak', ({ kind, holder }) => leaks.push(`${kind} ${holder.label}`));
  async function lose(): Promise<void> {
    const scope = pool.openScope({ label: () => 'GET /lost' });
    await scope.run(() => pool.connection());
  }
  await lose();
  await clock.pass(1000);
  t.true(await collected(() => leaks.length > 0));
  t.deepEqual(leaks, ['dropped GET /lost']);
  t.is(pool.stats().leased, 0);
  t.is(await pool.withConnection(() => 'served'), 'served');
});
