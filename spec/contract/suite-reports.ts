import type { AcquireTimeoutError } from '../../lib/index.ts';
import { FakeClock } from '../support/clock.ts';
import { gate } from '../support/gate.ts';
import { collected } from '../support/gc.ts';
import {
  type ContractHandle,
  coded,
  contractOf,
  Enough,
  reasonOf,
  release,
  type Subject,
  until,
  watch,
} from './subject.ts';

/** What is told of leaks and deadlocks. */
export function testReports<Db extends ContractHandle>(subject: Subject<Db>): void {
  const { insert, test, open, committed } = contractOf(subject);

  test('a lease held for longer than leakThreshold is reported with its place, and once more when it comes back', async (t) => {
    const clock = new FakeClock();
    const pool = await open(t, { leakThreshold: 2000 }, clock);
    const leaks = watch(pool, 'leak');
    const leaky = async () => await pool.acquire({ label: 'GET /leaky' });
    const db = await leaky();
    await subject.begin(db);
    await clock.pass(1999);
    t.deepEqual(leaks, []);
    await clock.pass(10_000);
    t.like(leaks, [{ kind: 'overdue', holder: { label: 'GET /leaky', inTransaction: true } }]);
    t.regex(leaks[0]?.holder.stack ?? '', /at leaky /);
    await subject.commit(db);
    await release(db);
    t.like(leaks, [{ kind: 'overdue' }, { kind: 'returned', holder: { label: 'GET /leaky' } }]);
    t.is(pool.stats().counters.leaks, 1);
  });

  test('a lease whose handle is dropped is reported, and its slot recovered', async (t) => {
    const pool = await open(t, { max: 1 });
    const leaks = watch(pool, 'leak');
    const drop = async () => {
      const db = await pool.acquire({ label: 'GET /careless' });
      await subject.begin(db);
      await insert(db, 'lost');
    };
    await drop();
    t.true(await collected(() => leaks.length > 0, 200));
    t.like(leaks, [{ kind: 'dropped', holder: { label: 'GET /careless' } }]);
    t.deepEqual(await committed(pool), []);
    t.like(pool.stats(), { leased: 0, counters: { leaks: 1 } });
  });

  test('assertIdle names who holds a connection', async (t) => {
    const pool = await open(t);
    const db = await pool.acquire({ label: 'GET /slow' });
    t.regex(t.throws(() => pool.assertIdle(), coded('NOT_IDLE'))?.message ?? '', /GET \/slow/);
    await release(db);
    t.notThrows(() => pool.assertIdle());
  });

  for (const onDeadlock of ['report', 'reject'] as const) {
    test(`where every holder waits for another connection, that is told at once (${onDeadlock})`, async (t) => {
      const clock = new FakeClock();
      const pool = await open(t, { max: 2, onDeadlock }, clock);
      const deadlocks = watch(pool, 'deadlock');
      const both = gate();
      let arrived = 0;
      const request = (label: string, timeout: number) =>
        pool.withConnection(
          async () => {
            if (++arrived === 2) both.open();
            await both.passed;
            await pool.withConnection((db) => insert(db, label), { fresh: true, timeout });
          },
          { label },
        );
      const outcomes = Promise.allSettled([request('a', 1000), request('b', 2000)]);
      await until(() => deadlocks.length > 0);
      t.is(deadlocks.length, 1);
      t.deepEqual(new Set(deadlocks[0]?.holders.map(({ label }) => label)), new Set(['a', 'b']));
      if (onDeadlock === 'report') {
        t.is(pool.stats().waiting, 2);
        await clock.pass(1000);
      }
      const [a, b] = await outcomes;
      if (onDeadlock === 'report') {
        const error = (a as PromiseRejectedResult).reason as AcquireTimeoutError;
        t.like(error, { ...coded('ACQUIRE_TIMEOUT'), suspectedDeadlock: true });
        t.is(b.status, 'fulfilled');
        t.deepEqual(await committed(pool), ['b']);
      } else {
        const failed = [a, b].filter((outcome) => outcome.status === 'rejected');
        t.like(failed, [{ reason: coded('DEADLOCK') }]);
        t.is((await committed(pool)).length, 1);
      }
      t.like(pool.stats(), { leased: 0, waiting: 0, counters: { deadlocks: 1 } });
    });
  }

  test('a listener that throws harms nobody, and is told of', async (t) => {
    const pool = await open(t, { max: 1 });
    const enough = new Enough();
    const raise = () => {
      throw enough;
    };
    for (const name of ['open', 'acquire', 'release', 'dirty', 'close'] as const) pool.on(name, raise);
    const errors = watch(pool, 'error');
    await pool.withConnection((db) => subject.begin(db));
    await pool.close();
    t.deepEqual(errors, [enough, enough, enough, enough, enough]);
    t.like(pool.stats(), { leased: 0, size: 0 });
  });

  test('a value that was to be written is in no message', async (t) => {
    const pool = await open(t, { leakThreshold: 60_000 });
    const told: unknown[] = [];
    for (const name of ['dirty', 'error', 'leak', 'timeout', 'discard'] as const) {
      pool.on(name, (event) => void told.push(event instanceof Error ? event.message : JSON.stringify(event)));
    }
    const secret = 'hunter2 is the password';
    const errors = [
      await reasonOf(
        pool.transaction(async (tx) => {
          await insert(tx, secret);
          await reasonOf(pool.transaction((part) => subject.fail(part), { nesting: 'join' }));
        }),
      ),
      await reasonOf(pool.read((db) => insert(db, secret))),
    ];
    await pool.withConnection(async (db) => {
      await subject.begin(db);
      await insert(db, secret);
    });
    const db = await pool.acquire();
    await release(db);
    errors.push(await reasonOf(insert(db, secret)));
    t.is(told.length, 1);
    t.deepEqual(
      errors.map((error) => (error as { code?: string }).code),
      ['TRANSACTION_ABORTED', 'READ_ONLY', 'RELEASED'].map((code) => coded(code).code),
    );
    const messages = errors.map((error) => (error as Error).message);
    t.notRegex([...told, ...messages].join('\n'), /hunter2|no json/);
  });
}
