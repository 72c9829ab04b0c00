import type { ReleasedError } from '../../lib/index.ts';
import { FakeClock } from '../support/clock.ts';
import { gate } from '../support/gate.ts';
import {
  type ContractHandle,
  coded,
  contractOf,
  Enough,
  onlyLease,
  reasonOf,
  release,
  type Subject,
  until,
  watch,
} from './subject.ts';

/** What becomes of a connection that comes back, and of the handle of its lease. */
export function testReturn<Db extends ContractHandle>(subject: Subject<Db>): void {
  const { insert, names, test, open, committed } = contractOf(subject);

  test('a connection that comes back clean is used again, and nothing is told of it', async (t) => {
    const pool = await open(t, { max: 1 });
    for (let round = 0; round < 5; round++) await pool.withConnection((db) => insert(db, `${round}`));
    await pool.withConnection(async (db) => {
      await subject.begin(db);
      await insert(db, 'by SQL');
      await subject.commit(db);
    });
    t.deepEqual(await committed(pool), ['0', '1', '2', '3', '4', 'by SQL']);
    t.like(pool.stats(), { size: 1, idle: 1, counters: { opened: 1, dirty: 0, discarded: 0, acquired: 7 } });
  });

  test('a transaction that SQL has left open is rolled back, and told of by the label of who did', async (t) => {
    const pool = await open(t, { max: 1 });
    const dirt = watch(pool, 'dirty');
    await pool.withConnection(
      async (db) => {
        await subject.begin(db);
        await insert(db, 'lost');
        t.true(db.inTransaction);
        t.true(onlyLease(pool).inTransaction);
      },
      { label: 'GET /careless' },
    );
    t.like(dirt, [{ label: 'GET /careless', lease: 1, connection: 1, traces: ['open transaction'] }]);
    t.regex(dirt[0]?.message ?? '', /GET \/careless.*open transaction/s);
    await pool.withConnection(async (db) => {
      t.false(db.inTransaction);
      t.deepEqual(await names(db), []);
      await insert(db, 'kept');
    });
    t.deepEqual(await committed(pool), ['kept']);
    t.like(pool.stats(), { idle: 1, counters: { opened: 1, dirty: 1, discarded: 0 } });
  });

  test('whoever waits gets a connection only when it is clean', async (t) => {
    const pool = await open(t, { max: 1 });
    const db = await pool.acquire();
    await subject.begin(db);
    await insert(db, 'lost');
    const next = pool.withConnection(async (clean) => {
      t.false(clean.inTransaction);
      t.deepEqual(await names(clean), []);
    });
    await Promise.all([release(db), next]);
    t.is(pool.stats().counters.acquired, 2);
  });

  test('a changed setting of the session is gone for the next, and told of', async (t) => {
    const pool = await open(t, { max: 1 });
    const dirt = watch(pool, 'dirty');
    await pool.withConnection(
      async (db) => {
        await subject.change(db);
        t.true(await subject.isChanged(db));
      },
      { label: 'GET /careless' },
    );
    t.is(dirt.length, 1);
    t.is(dirt[0]?.label, 'GET /careless');
    t.false(await pool.withConnection((db) => subject.isChanged(db)));
    t.like(pool.stats(), { size: 1, counters: { dirty: 1, discarded: subject.resets ? 0 : 1 } });
  });

  test('a failure and a transaction left open do not take the place of the error of the function', async (t) => {
    const pool = await open(t, { max: 1 });
    const enough = new Enough();
    const running = pool.withConnection(async (db) => {
      await subject.begin(db);
      await insert(db, 'lost');
      await t.throwsAsync(subject.fail(db), subject.refusal);
      throw enough;
    });
    t.is(await reasonOf(running), enough);
    t.deepEqual(await committed(pool), []);
  });

  test('a connection that its holder discards is closed, and another opened for who comes next', async (t) => {
    const pool = await open(t, { max: 1 });
    const [discards, closes] = [watch(pool, 'discard'), watch(pool, 'close')];
    const db = await pool.acquire();
    db.discard('looks odd');
    await insert(db, 'usable still');
    await release(db);
    await until(() => closes.length > 0);
    t.deepEqual(discards, [{ connection: 1, reason: 'looks odd' }]);
    t.like(closes, [{ connection: 1 }]);
    t.throws(() => db.discard(), coded('RELEASED'));
    await pool.withConnection(() => t.is(onlyLease(pool).connection, 2));
    t.deepEqual(await committed(pool), ['usable still']);
    t.like(pool.stats(), { size: 1, counters: { opened: 2, closed: 1, discarded: 1 } });
  });

  test('to give a lease back twice is counted, and takes nothing from whoever has the connection by then', async (t) => {
    const pool = await open(t, { max: 1 });
    const first = await pool.acquire();
    await release(first);
    const second = await pool.acquire();
    await subject.releaseAgain(first);
    t.true(second.open);
    t.like(pool.stats(), { leased: 1, counters: { released: 1, doubleReleases: 1 } });
    t.is(pool.tryAcquire(), undefined);
    await insert(second, 'undisturbed');
    await release(second);
    await release(second);
    t.like(pool.stats(), { leased: 0, idle: 1, counters: { released: 2, doubleReleases: 1 } });
    t.deepEqual(await committed(pool), ['undisturbed']);
  });

  test('a handle is of no use after its release, whoever has the connection by then', async (t) => {
    const pool = await open(t, { max: 1 });
    const db = await pool.acquire({ label: 'GET /' });
    await release(db);
    t.false(db.open);
    t.false(db.inTransaction);
    const second = await pool.acquire();
    for (const use of [() => insert(db, 'stray'), () => names(db), () => subject.begin(db)]) {
      const error = (await reasonOf(use())) as ReleasedError;
      t.like(error, { ...coded('RELEASED'), label: 'GET /', end: 'released', pool: 'app' });
    }
    t.deepEqual(await names(second), []);
    await release(second);
  });

  test('a lease that ends while its work is under way shares nothing of that with the next', async (t) => {
    const pool = await open(t, { max: 1 });
    const db = await pool.acquire();
    const working = Promise.allSettled([insert(db, 'a'), insert(db, 'b'), names(db)]);
    await release(db);
    for (const outcome of await working) {
      if (outcome.status === 'rejected') t.like(outcome.reason, coded('RELEASED'));
    }
    await pool.withConnection(async (next) => {
      t.false(next.inTransaction);
      await insert(next, 'next');
    });
    t.true((await committed(pool)).includes('next'));
    t.is(pool.stats().leased, 0);
  });

  test('hooks see each lease, and discard what they do not like', async (t) => {
    const log: string[] = [];
    const refusals = { onAcquire: 1, onRelease: 1 };
    const pool = await open(t, {
      max: 1,
      onOpen: () => void log.push('open'),
      onAcquire: async (db, { uses }) => {
        log.push(`acquire after ${uses}, ${(await names(db)).length} names`);
        return uses === 0 || refusals.onAcquire-- <= 0;
      },
      onRelease: async (db, { uses }) => {
        log.push(`release after ${uses}`);
        t.false(db.inTransaction);
        return uses < 2 || refusals.onRelease-- <= 0;
      },
    });
    const use = () =>
      pool.withConnection(async (db) => {
        log.push('use');
        await insert(db, 'a name');
      });
    await use();
    await use();
    await use();
    t.deepEqual(
      log.join('; '),
      [
        'open; acquire after 0, 0 names; use; release after 1',
        'acquire after 1, 1 names; open; acquire after 0, 1 names; use; release after 1',
        'acquire after 1, 2 names; use; release after 2',
      ].join('; '),
    );
    t.like(pool.stats(), { leased: 0, counters: { opened: 2, discarded: 2 } });
  });

  test('a failed clean-up or hook harms nobody but its connection', async (t) => {
    const enough = new Enough();
    let isFailing = true;
    const pool = await open(t, {
      max: 1,
      onRelease: () => {
        if (isFailing) throw enough;
      },
    });
    const errors = watch(pool, 'error');
    t.is(await pool.withConnection(() => 'its result'), 'its result');
    isFailing = false;
    await pool.withConnection((db) => insert(db, 'on another'));
    t.deepEqual(errors, [enough]);
    t.like(pool.stats(), { leased: 0, counters: { opened: 2, discarded: 1 } });
  });

  test('a transaction whose connection is taken away commits nothing', async (t) => {
    const clock = new FakeClock();
    const pool = await open(t, {}, clock);
    const [begun, go] = [gate(), gate()];
    const running = reasonOf(
      pool.transaction(async (tx) => {
        await insert(tx, 'lost');
        begun.open();
        await go.passed;
        await insert(pool.db, 'late');
      }),
    );
    await begun.passed;
    clock.advance(10);
    t.is(pool.closeOverdue(10), 1);
    go.open();
    t.like(await running, coded('RELEASED'));
    t.deepEqual(await committed(pool), []);
    await until(() => pool.stats().size === pool.stats().idle);
    t.is(pool.stats().leased, 0);
  });
}
