import test from 'ava';
import { fakePool } from './support/driver.ts';
import { gate, settled } from './support/gate.ts';
import { openItems } from './support/items.ts';

const abortError = { name: 'AbortError', code: 'ABORT_ERR' };

test('a nested withConnection with an aborted signal is refused, and the connection of the scope stays', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  await pool.withConnection(async (db) => {
    const reason = new Error('The caller has gone');
    let ran = false;
    const nested = pool.withConnection(
      () => {
        ran = true;
      },
      { signal: AbortSignal.abort(reason) },
    );
    t.like(await t.throwsAsync(nested, abortError), { cause: reason });
    t.false(ran);
    t.is(await pool.withConnection((inner) => inner.use(), { signal: new AbortController().signal }), db.use());
  });
  t.like(pool.stats(), { leased: 0, counters: { acquired: 1 } });
});

test('a call that shares a connection which is on its way is refused where it was aborted meanwhile', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  await pool.withScope(async () => {
    const binding = pool.connection();
    const controller = new AbortController();
    let ran = false;
    const sharing = pool.withConnection(
      () => {
        ran = true;
      },
      { signal: controller.signal },
    );
    const refused = t.throwsAsync(sharing, abortError);
    const patient = pool.withConnection((db) => db.use(), { signal: new AbortController().signal });
    await settled();
    controller.abort();
    await holder.release();
    await refused;
    t.false(ran);
    t.is(await patient, (await binding).use());
    t.is(pool.stats().leased, 1, 'and takes nothing from the others');
  });
});

test('a query that shares a connection which is on its way is not run where it was aborted meanwhile', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const holder = await pool.acquire();
  await pool.withScope(async () => {
    const binding = pool.connection();
    const controller = new AbortController();
    const query = 'SELECT count(*) AS count FROM item';
    const refused = t.throwsAsync(pool.get(query, [], { signal: controller.signal }), abortError);
    const patient = pool.get(query, [], { signal: new AbortController().signal });
    await settled();
    controller.abort();
    holder.close();
    await refused;
    t.deepEqual(await patient, { count: 0 });
    await binding;
  });
  t.like(pool.stats(), { leased: 0, waiting: 0 });
});

test('an open scope within another asks for its signal when first it is needed, and ends with either', async (t) => {
  for (const which of ['own', 'outer'] as const) {
    const { pool } = fakePool(t, { max: 1 });
    const controllers = { own: new AbortController(), outer: new AbortController() };
    let asked = 0;
    await pool.withScope(
      async () => {
        const scope = pool.openScope({
          signal: () => {
            asked++;
            return controllers.own.signal;
          },
        });
        t.is(asked, 0);
        const db = await scope.run(() => pool.connection());
        t.is(asked, 1);
        t.false(db.lease.signal?.aborted);
        controllers[which].abort();
        t.true(db.lease.signal?.aborted, which);
        t.is(asked, 1, 'once for all');
        await scope.end();
      },
      { signal: controllers.outer.signal },
    );
  }
});

test('a connection that comes in the step in which its scope ends is never bound', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const scope = pool.openScope();
  const binding = scope.run(() => pool.connection());
  const refused = t.throwsAsync(binding, { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
  await settled();
  const ending = gate();
  // The waiter has its connection by then, and the call that waits for it does not know yet.
  pool.on('acquire', () => ending.open());
  pool.on('acquire', () => void scope.end());
  await holder.release();
  await ending.passed;
  await refused;
  t.is(scope.current, undefined);
  t.like(pool.stats(), { leased: 0, idle: 1 });
});
