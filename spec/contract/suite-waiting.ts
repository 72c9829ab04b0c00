import type { AcquireTimeoutError } from '../../lib/index.ts';
import { FakeClock } from '../support/clock.ts';
import { settled } from '../support/gate.ts';
import { type ContractHandle, coded, contractOf, Enough, reasonOf, release, type Subject, watch } from './subject.ts';

/** Who gets a connection, when, and who does not. */
export function testWaiting<Db extends ContractHandle>(subject: Subject<Db>): void {
  const { insert, names, test, open, committed } = contractOf(subject);

  test('no more than max leases are held at once, and one that comes back is handed to who waits', async (t) => {
    const pool = await open(t, { max: 2 });
    const [a, b] = await Promise.all([pool.acquire(), pool.acquire()]);
    const acquiring = pool.acquire();
    t.like(pool.stats(), { leased: 2, waiting: 1, size: 2 });
    await release(a);
    const c = await acquiring;
    t.like(pool.stats(), { leased: 2, waiting: 0, size: 2 });
    await insert(c, 'by the third');
    await Promise.all([release(b), release(c)]);
    t.deepEqual(await committed(pool), ['by the third']);
    t.like(pool.stats(), { leased: 0, idle: 2, counters: { opened: 2 } });
  });

  test('who waits is served by priority, then in order, and never overtaken', async (t) => {
    const pool = await open(t, { max: 1 });
    const first = await pool.acquire();
    const served: string[] = [];
    const wait = async (name: string, priority = 0) => {
      const db = await pool.acquire({ priority });
      served.push(name);
      t.is(pool.tryAcquire(), undefined);
      await release(db);
    };
    const waiting = [wait('a'), wait('b'), wait('urgent', 2), wait('c'), wait('soon', 1)];
    await release(first);
    await Promise.all([...waiting, wait('newcomer')]);
    t.deepEqual(served, ['urgent', 'soon', 'a', 'b', 'c', 'newcomer']);
  });

  test('whoever waits in vain until the deadline is told who holds what', async (t) => {
    const clock = new FakeClock();
    const pool = await open(t, { max: 2 }, clock);
    const timeouts = watch(pool, 'timeout');
    const report = await pool.acquire({ label: 'GET /report' });
    await subject.begin(report);
    await names(report);
    const job = await pool.acquire({ label: 'nightly job' });
    const waiting = reasonOf(pool.acquire({ label: 'GET /', timeout: 700 }));
    await clock.pass(699);
    t.is(pool.stats().waiting, 1);
    await clock.pass(1);
    const error = (await waiting) as AcquireTimeoutError;
    t.like(error, { ...coded('ACQUIRE_TIMEOUT'), timeout: 700, label: 'GET /', max: 2, leased: 2 });
    t.deepEqual(
      error.holders.map(({ label, inTransaction }) => ({ label, inTransaction })),
      [
        { label: 'GET /report', inTransaction: true },
        { label: 'nightly job', inTransaction: false },
      ],
    );
    t.regex(error.message, /700 ms .*"app".*"GET \/".*\n.*GET \/report.*transaction open.*\n.*nightly job/);
    t.like(timeouts, [{ label: 'GET /', waited: 700, error }]);
    await subject.commit(report);
    await Promise.all([release(report), release(job)]);
    t.like(pool.stats(), { leased: 0, waiting: 0, idle: 2, counters: { timeouts: 1, acquired: 2 } });
  });

  test('who is served after the deadline is refused, and the connection goes to the next', async (t) => {
    const clock = new FakeClock();
    const pool = await open(t, { max: 1 }, clock);
    const db = await pool.acquire();
    const late = reasonOf(pool.acquire({ timeout: 100 }));
    const next = pool.acquire({ timeout: 1000 });
    clock.skip(500);
    await release(db);
    t.like(await late, coded('ACQUIRE_TIMEOUT'));
    await release(await next);
    t.like(pool.stats(), { leased: 0, waiting: 0, idle: 1, counters: { acquired: 2, timeouts: 1 } });
  });

  test('no more wait than maxWaiting', async (t) => {
    const pool = await open(t, { max: 1, maxWaiting: 1 });
    const db = await pool.acquire();
    const waiting = pool.acquire();
    t.like(await reasonOf(pool.acquire()), coded('QUEUE_FULL'));
    t.like(await reasonOf(pool.withConnection(() => {})), coded('QUEUE_FULL'));
    await release(db);
    await release(await waiting);
    t.like(pool.stats(), { waiting: 0, leased: 0, counters: { refused: 2 } });
  });

  test('whoever is aborted while waiting is gone from the queue, and one who is aborted already never joins it', async (t) => {
    const pool = await open(t, { max: 1 });
    const db = await pool.acquire();
    const abort = new AbortController();
    const { signal } = abort;
    const waiting = [
      pool.acquire({ signal }),
      pool.withConnection(() => {}, { signal }),
      pool.read(() => {}, { signal }),
      pool.withScope(() => pool.connection(), { signal }),
    ].map(reasonOf);
    const other = pool.acquire();
    t.is(pool.stats().waiting, 5);
    const reason = new Enough();
    abort.abort(reason);
    for (const error of await Promise.all(waiting))
      t.like(error, { name: 'AbortError', code: 'ABORT_ERR', cause: reason });
    t.is(pool.stats().waiting, 1);
    await release(db);
    await release(await other);
    t.like(await reasonOf(pool.acquire({ signal })), { name: 'AbortError' });
    t.throws(() => pool.tryAcquire({ signal }), { name: 'AbortError' });
    t.like(pool.stats(), { waiting: 0, leased: 0, idle: 1, counters: { acquired: 2 } });
  });

  test('whoever waits when the pool is closed is refused at once, and so is whoever comes later', async (t) => {
    const pool = await open(t, { max: 1 });
    const db = await pool.acquire();
    const waiting = reasonOf(pool.acquire());
    const closing = pool.close();
    t.like(await waiting, coded('CLOSED'));
    t.like(await reasonOf(pool.acquire()), coded('CLOSED'));
    t.like(await reasonOf(pool.transaction(() => {})), coded('CLOSED'));
    t.throws(() => pool.tryAcquire(), coded('CLOSED'));
    await insert(db, 'held still');
    await release(db);
    await closing;
    t.true(pool.closed);
    t.like(pool.stats(), { size: 0, leased: 0, waiting: 0 });
  });

  test('tryAcquire takes what can be had without waiting, and nothing else', async (t) => {
    const pool = await open(t, { max: 1 });
    if (subject.opensAtOnce) {
      const opened = pool.tryAcquire();
      t.true(opened?.open);
      await release(opened as Db);
    } else t.is(pool.tryAcquire(), undefined);
    await release(await pool.acquire());
    const db = pool.tryAcquire({ label: 'eager' });
    t.is(pool.leases()[0]?.label, 'eager');
    t.is(pool.tryAcquire(), undefined);
    await insert(db as Db, 'at once');
    await release(db as Db);
    t.deepEqual(await committed(pool), ['at once']);
  });

  test('an open that fails for good tells why, and keeps no slot', async (t) => {
    await subject.place(t);
    const pool = subject.nowhere(t);
    const attempts = [
      () => pool.ready(),
      () => pool.acquire(),
      () => pool.transaction(() => t.fail()),
      () => pool.withConnection(() => t.fail()),
    ];
    for (const attempt of attempts) {
      const error = (await reasonOf(attempt())) as Error;
      t.like(error, { ...coded('OPEN'), pool: 'app' });
      t.true(error.cause instanceof Error);
    }
    await settled();
    t.like(pool.stats(), { size: 0, leased: 0, waiting: 0, counters: { openErrors: 4, opened: 0 } });
  });
}
