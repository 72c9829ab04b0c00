import { FakeClock } from '../support/clock.ts';
import { gate } from '../support/gate.ts';
import {
  type ContractHandle,
  type ContractPool,
  coded,
  contractOf,
  onlyLease,
  reasonOf,
  release,
  type Subject,
  until,
} from './subject.ts';

/** How long connections live, and what can be done about it. */
export function testLifetime<Db extends ContractHandle>(subject: Subject<Db>): void {
  const { insert, names, test, open, committed } = contractOf(subject);

  /** The number of the connection that comes next. */
  const next = (pool: ContractPool<Db>) => pool.withConnection(() => onlyLease(pool).connection);
  /** Holds several connections at once, and gives them back. */
  const spread = async (pool: ContractPool<Db>, count: number) => {
    const held = await Promise.all(Array.from({ length: count }, () => pool.acquire()));
    for (const db of held) await release(db);
  };

  test('a connection is retired after maxUses leases', async (t) => {
    const pool = await open(t, { max: 1, maxUses: 2 });
    const used: number[] = [];
    for (let round = 0; round < 5; round++) used.push(await next(pool));
    t.deepEqual(used, [1, 1, 2, 2, 3]);
  });

  test('a connection is retired after maxLifetime, though never while it is held', async (t) => {
    const clock = new FakeClock();
    const pool = await open(t, { max: 1, maxLifetime: 60_000, idleTimeout: Infinity }, clock);
    t.is(await next(pool), 1);
    await clock.pass(50_000);
    const db = await pool.acquire();
    await clock.pass(50_000);
    await insert(db, 'in its old age');
    t.is(onlyLease(pool).connection, 1);
    await release(db);
    t.is(await next(pool), 2);
    await clock.pass(70_000);
    await until(() => pool.stats().size === 0);
    t.deepEqual(await committed(pool), ['in its old age']);
  });

  test('connections that nobody uses are closed after idleTimeout, but for min', async (t) => {
    const clock = new FakeClock();
    const pool = await open(t, { max: 3, min: 1, idleTimeout: 1000 }, clock);
    await pool.ready();
    t.like(pool.stats(), { size: 1, idle: 1 });
    await spread(pool, 3);
    t.like(pool.stats(), { size: 3, idle: 3 });
    await clock.pass(10_000);
    await until(() => pool.stats().size === 1);
    t.like(pool.stats(), { size: 1, idle: 1, counters: { opened: 3, closed: 2 } });
    await pool.withConnection((db) => insert(db, 'on the one that is left'));
  });

  test('ready opens min connections', async (t) => {
    const pool = await open(t, { min: 2 });
    t.is(pool.stats().size, 0);
    await pool.ready();
    t.like(pool.stats(), { size: 2, idle: 2, leased: 0, counters: { opened: 2, acquired: 0 } });
  });

  test('a larger max serves who waits at once, and a smaller one takes a connection from nobody', async (t) => {
    const pool = await open(t, { max: 1 });
    const first = await pool.acquire();
    const waiting = pool.acquire();
    t.is(pool.stats().waiting, 1);
    pool.resize({ max: 2 });
    const second = await waiting;
    pool.resize({ max: 1 });
    await insert(first, 'first');
    await insert(second, 'second');
    t.like(pool.stats(), { max: 1, leased: 2 });
    await release(first);
    t.is(pool.tryAcquire(), undefined);
    await until(() => pool.stats().size === 1);
    await release(second);
    t.deepEqual(await committed(pool), ['first', 'second']);
    t.like(pool.stats(), { size: 1, idle: 1, leased: 0 });
  });

  test('drain replaces every connection, those that are held when they come back', async (t) => {
    const pool = await open(t, { max: 2 });
    const [held, idle] = [await pool.acquire(), await pool.acquire()];
    await release(idle);
    let isDrained = false;
    const draining = pool.drain().then(() => {
      isDrained = true;
    });
    await until(() => pool.stats().counters.closed === 1);
    await insert(held, 'held still');
    t.false(isDrained);
    t.true((await pool.withConnection(() => pool.leases().at(-1)?.connection)) === 3);
    await release(held);
    await draining;
    t.is(await next(pool), 3);
    t.like(pool.stats(), { size: 1, idle: 1, counters: { opened: 3, closed: 2 } });
  });

  test('closeIdle closes what is idle, and says how much that was', async (t) => {
    const pool = await open(t, { max: 3 });
    await spread(pool, 3);
    const db = await pool.acquire();
    t.is(pool.closeIdle(), 2);
    await until(() => pool.stats().size === 1);
    await insert(db, 'undisturbed');
    await release(db);
    t.like(pool.stats(), { size: 1, idle: 1 });
  });

  test('closeOverdue takes away what is held for too long, and nothing else', async (t) => {
    const clock = new FakeClock();
    const pool = await open(t, { max: 2 }, clock);
    const old = await pool.acquire({ label: 'old' });
    await subject.begin(old);
    await insert(old, 'lost');
    await clock.pass(5000);
    const young = await pool.acquire({ label: 'young' });
    const waiting = pool.acquire({ label: 'waiting' });
    await clock.pass(1000);
    t.is(pool.closeOverdue(3000), 1);
    const served = await waiting;
    t.like(await reasonOf(insert(old, 'late')), { ...coded('RELEASED'), end: 'overdue', label: 'old' });
    await insert(young, 'young');
    await insert(served, 'served');
    t.deepEqual(await names(young), ['young', 'served']);
    await Promise.all([release(young), release(served)]);
    t.is(pool.closeOverdue(1), 0);
    t.is(pool.stats().leased, 0);
  });

  test('close waits for holders, and every call for the same', async (t) => {
    const pool = await open(t);
    const db = await pool.acquire();
    let closed = 0;
    const closing = [pool.close(), pool.close()].map((call) => call.then(() => closed++));
    t.true(pool.closed);
    await insert(db, 'held still');
    t.is(closed, 0);
    await release(db);
    await Promise.all(closing);
    await pool.close();
    t.like(pool.stats(), { size: 0, leased: 0, idle: 0 });
  });

  test('close takes connections away when its time is over', async (t) => {
    const clock = new FakeClock();
    const pool = await open(t, {}, clock);
    const db = await pool.acquire({ label: 'stuck' });
    const go = gate();
    const running = reasonOf(
      pool.transaction(async (tx) => {
        await insert(tx, 'lost');
        await go.passed;
        await insert(tx, 'late');
      }),
    );
    await until(() => pool.leases().some(({ mode }) => mode === 'write'));
    const closing = pool.close({ timeout: 500 });
    await clock.pass(499);
    t.is(pool.stats().leased, 2);
    await clock.pass(1);
    await closing;
    t.is(pool.stats().size, 0);
    t.like(await reasonOf(insert(db, 'late')), { ...coded('RELEASED'), end: 'closed', label: 'stuck' });
    go.open();
    t.like(await running, coded('RELEASED'));
  });

  test('events come in the order of what happens', async (t) => {
    const pool = await open(t, { max: 1 });
    const log: string[] = [];
    pool.on('open', ({ connection }) => void log.push(`open ${connection}`));
    pool.on('wait', ({ waiting }) => void log.push(`wait for ${waiting}`));
    pool.on('acquire', ({ lease, connection, label }) => void log.push(`acquire ${lease} ${connection} ${label}`));
    pool.on('release', ({ lease, connection }) => void log.push(`release ${lease} ${connection}`));
    pool.on('dirty', ({ lease }) => void log.push(`dirty ${lease}`));
    pool.on('discard', ({ connection }) => void log.push(`discard ${connection}`));
    pool.on('close', ({ connection }) => void log.push(`close ${connection}`));
    const first = await pool.acquire({ label: 'a' });
    const waiting = pool.acquire({ label: 'b' });
    await subject.begin(first);
    await release(first);
    const second = await waiting;
    second.discard();
    await release(second);
    await until(() => pool.stats().size === 0);
    await release(await pool.acquire({ label: 'c' }));
    await pool.close();
    t.deepEqual(
      log.join(', '),
      'open 1, acquire 1 1 a, wait for 1, release 1 1, dirty 1, acquire 2 1 b, release 2 1, discard 1, close 1, ' +
        'open 2, acquire 3 2 c, release 3 2, close 2',
    );
  });

  test('the figures add up', async (t) => {
    const clock = new FakeClock();
    const pool = await open(t, { max: 2, maxWaiting: 1 }, clock);
    const held = [await pool.acquire({ label: 'a' }), await pool.acquire({ label: 'b' })];
    const abort = new AbortController();
    const aborted = reasonOf(pool.acquire({ signal: abort.signal }));
    await reasonOf(pool.acquire());
    abort.abort();
    await aborted;
    const late = reasonOf(pool.acquire({ timeout: 10 }));
    await clock.pass(10);
    await late;
    t.like(pool.stats(), { size: 2, idle: 0, leased: 2, waiting: 0, max: 2, min: 0 });
    for (const db of held) await release(db);
    await pool.transaction((tx) => insert(tx, 'c'));
    const { counters, waitTime, holdTime, openTime } = pool.stats();
    t.like(counters, { refused: 1, aborted: 1, timeouts: 1, dirty: 0, discarded: 0, doubleReleases: 0, leaks: 0 });
    t.is(counters.acquired, 3);
    t.is(counters.released, 3);
    t.is(holdTime.count, 3);
    t.is(openTime.count, counters.opened);
    t.true(waitTime.count >= 3);
    t.deepEqual(new Set(pool.stats({ by: 'label' }).map(({ label }) => label)), new Set(['a', 'b']));
    await pool.close();
    t.is(pool.stats().counters.closed, counters.opened);
  });
}
