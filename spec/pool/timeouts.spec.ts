import test from 'ava';
import { type AcquireTimeoutError, QueueFullError } from '../../lib/congestion-errors.ts';
import { attempt, type FakeConnection, FakeDriver, fakePool } from '../support/driver.ts';
import { gate, settled } from '../support/gate.ts';

// A handle that nobody keeps may be collected at any time, and is a leak whose slot goes to the next: each of these is used
// once more, after what was waited for.

test('an acquire gives up after acquireTimeout, and says who holds what', async (t) => {
  const { pool, clock } = fakePool(t, { name: 'app' });
  const report = await pool.acquire({ label: 'GET /report' });
  report.begin();
  await clock.pass(100);
  const job = await pool.acquire();
  await clock.pass(100);
  void attempt(pool.acquire({ timeout: Infinity }));
  const waiting = attempt(pool.acquire({ label: 'POST /order' }));
  await clock.pass(4999);
  t.is(waiting.state, 'waiting');
  await clock.pass(1);
  const error = waiting.error as AcquireTimeoutError;
  t.is(
    error.message,
    'Timed out after 5000 ms waiting for a connection of "app" for "POST /order" (2 of 2 in use, 2 waiting, ' +
      'this one as number 2).' +
      '\n  #1  GET /report       5.2 s   transaction open, last used 5.2 s ago' +
      '\n  #2  no label          5.1 s   last used 5.1 s ago' +
      '\n  What to do: #1 and #2 have not used the connection for most of that time: look there for a release that is missing, ' +
      'or for slow work between two statements. Set "leakThreshold" to see here where each lease was acquired.',
  );
  t.like(error, { timeout: 5000, label: 'POST /order', position: 2, pool: 'app', max: 2, leased: 2, waiting: 2 });
  t.like(error, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT', suspectedDeadlock: false });
  t.deepEqual(
    error.holders.map(({ id, label, age, idleFor, inTransaction, stack }) => [
      id,
      label,
      age,
      idleFor,
      inTransaction,
      stack,
    ]),
    [
      [1, 'GET /report', 5200, 5200, true, undefined],
      [2, undefined, 5100, 5100, false, undefined],
    ],
  );
  t.like(pool.stats(), { waiting: 1, leased: 2, counters: { timeouts: 1 } });
  t.deepEqual([report.use(), job.use()], [1, 2]);
});

test('while stacks are captured, a timeout shows where each holder acquired', async (t) => {
  const { pool, clock } = fakePool(t, { max: 1, leakThreshold: 60_000 });
  async function report() {
    return pool.acquire({ label: 'a\u0007b\u202ec\nd' });
  }
  const holder = await report();
  const waiting = attempt(pool.acquire());
  await clock.pass(5000);
  const { message, holders } = waiting.error as AcquireTimeoutError;
  t.regex(
    message,
    /\n {2}#1 {2}a\\u0007b\\u202ec\\u000ad {2}5\.0 s {3}last used 5\.0 s ago {3}at report \(spec\/pool\/timeouts\.spec\.[tj]s:\d+:\d+\) from spec\/pool\/timeouts\.spec\.[tj]s:\d+:\d+\n {2}What to do: #1 has not used .* two statements\.$/,
  );
  t.regex(holders[0]?.stack ?? '', /^Error\n\s+at report .*\n\s+at /);
  t.is(holder.use(), 1);
});

test('an acquire that timed out is announced', async (t) => {
  const { pool, clock } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const events: unknown[] = [];
  pool.on('timeout', (event) => events.push(event));
  const waiting = attempt(pool.acquire({ label: 'job', timeout: 30 }));
  await clock.pass(30);
  t.deepEqual(events, [{ label: 'job', waited: 30, error: waiting.error }]);
  t.is(holder.use(), 1);
});

test('timeouts of different lengths in one queue end in order, each in its own time', async (t) => {
  const { pool, clock } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const ended: string[] = [];
  const wait = (label: string, timeout: number, priority = 0) =>
    pool.acquire({ label, timeout, priority }).catch(() => ended.push(`${label} at ${clock.now() - 1000}`));
  const all = [wait('c', 300), wait('a', 100, -1), wait('d', 400, 9), wait('b', 200)];
  await clock.pass(50);
  all.push(wait('early', 10));
  await clock.pass(1000);
  await Promise.all(all);
  t.deepEqual(ended, ['early at 60', 'a at 100', 'b at 200', 'c at 300', 'd at 400']);
  t.is(holder.use(), 1);
});

test('a wait without bound has no end', async (t) => {
  const { pool, clock } = fakePool(t, { max: 1, acquireTimeout: Infinity });
  const holder = await pool.acquire();
  const waiting = attempt(pool.acquire());
  await clock.pass(1e6);
  t.is(waiting.state, 'waiting');
  void holder.release();
  await settled();
  t.is(waiting.state, 'granted');
});

test('one deadline spans the queue and the hook', async (t) => {
  let hook: Promise<void> | undefined;
  const { pool, clock } = fakePool(t, { max: 1, onAcquire: () => hook });
  const holder = await pool.acquire();
  const slow = gate();
  hook = slow.passed;
  const waiting = attempt(pool.acquire({ timeout: 100 }));
  await clock.pass(60);
  void holder.release();
  await clock.pass(39);
  t.is(waiting.state, 'waiting');
  await clock.pass(1);
  t.like(waiting.error, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT', timeout: 100 });
  slow.open();
  await settled();
  t.like(pool.stats(), { idle: 1, leased: 0 });
});

test('one deadline spans the opening too', async (t) => {
  const driver = new FakeDriver();
  const opening = gate();
  driver.beforeOpen = () => opening.passed;
  const hook = gate();
  const { pool, clock } = fakePool(t, { max: 1, onOpen: () => hook.passed }, driver);
  const waiting = attempt(pool.acquire({ timeout: 100 }));
  await clock.pass(60);
  opening.open();
  await clock.pass(40);
  t.like(waiting.error, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
  hook.open();
  await settled();
  t.like(pool.stats(), { idle: 1 });
});

test('beyond maxWaiting an acquire is refused at once', async (t) => {
  const { pool, clock } = fakePool(t, { name: 'app', max: 1, maxWaiting: 2 });
  const holder = await pool.acquire({ label: 'holder' });
  const queued = [attempt(pool.acquire()), attempt(pool.acquire())];
  const error = await t.throwsAsync(pool.acquire(), { instanceOf: QueueFullError });
  t.is(
    error?.message,
    'The queue of "app" is full: 2 are waiting (1 of 1 in use). Shed load, or raise "maxWaiting". ' +
      'Set "leakThreshold" to see here where each lease was acquired.' +
      '\n  #1  holder            0 ms   last used 0 ms ago',
  );
  t.like(error, { pool: 'app', max: 1, leased: 1, waiting: 2, holders: { length: 1 } });
  t.like(pool.stats(), { waiting: 2, counters: { refused: 1, timeouts: 0 } });
  void holder.release();
  const late = attempt(pool.acquire({ timeout: 10 }));
  await settled();
  t.is(queued[0]?.state, 'granted');
  t.is(late.state, 'waiting', 'there is a place again');
  await clock.pass(10);
  t.is(attempt(pool.acquire()).state, 'waiting', 'and again when one gave up');
});

test('a maxWaiting of 0 forbids to wait for a holder, not for a connection of one’s own', async (t) => {
  const driver = new FakeDriver();
  driver.beforeOpen = () => Promise.resolve();
  const { pool } = fakePool(t, { max: 2, maxWaiting: 0 }, driver);
  const both = [attempt(pool.acquire()), attempt(pool.acquire())];
  await t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_QUEUE_FULL' });
  await settled();
  t.true(both.every(({ state }) => state === 'granted'));
  await t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_QUEUE_FULL' });
  await both[0]?.handle?.release();
  const again = await pool.acquire();
  t.is(again.connection, both[0]?.handle?.connection as FakeConnection);
});

test('a maxWaiting of 0 holds behind an onAcquire hook as well', async (t) => {
  const { pool } = fakePool(t, { max: 1, maxWaiting: 0, onAcquire: () => Promise.resolve() });
  const first = await pool.acquire();
  await t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_QUEUE_FULL' });
  await first.release();
  t.is((await pool.acquire()).use(), 1);
});

test('a maxWaiting of Infinity refuses nobody', async (t) => {
  const { pool } = fakePool(t, { max: 1, maxWaiting: Infinity });
  const holder = await pool.acquire();
  for (let index = 0; index < 2000; index++) void attempt(pool.acquire());
  t.is(pool.stats().waiting, 2000);
  t.is(holder.use(), 1);
});

test('while a resize left more leases than max, nobody has room to wait but within maxWaiting', async (t) => {
  const { pool } = fakePool(t, { max: 3, maxWaiting: 1 });
  const holders = await Promise.all(Array.from({ length: 3 }, () => pool.acquire()));
  pool.resize({ max: 1 });
  const waiting = attempt(pool.acquire());
  await t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_QUEUE_FULL' });
  t.is(waiting.state, 'waiting');
  t.deepEqual(
    holders.map((holder) => holder.use()),
    [1, 2, 3],
  );
});

test('bad call options are refused before anything happens', async (t) => {
  const { pool, driver } = fakePool(t);
  await t.throwsAsync(pool.acquire({ timeout: 0 }), { code: 'ERR_LEASEHOLD_OPTIONS' });
  await t.throwsAsync(pool.acquire({ prority: 1 } as never), { message: /Did you mean "priority"/ });
  t.throws(() => pool.tryAcquire({ label: 5 as never }), { code: 'ERR_LEASEHOLD_OPTIONS' });
  t.is(driver.opens, 0);
});
