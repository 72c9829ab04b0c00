import test, { type ExecutionContext } from 'ava';
import { Cancellations } from '../../lib/cancellations.ts';
import { ClosedError, type SqlitePoolOptions } from '../../lib/index.ts';
import { LaneFinder } from '../../lib/sqlite/lane-finder.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { refusal } from '../support/items.ts';

// Which lane is that of a file is known once the file has been opened, which may take its time.

function open(t: ExecutionContext, options: SqlitePoolOptions = {}) {
  const clock = new FakeClock();
  const pool = new SqlitePool(temporaryFile(t), { name: 'app', ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  return { pool, clock };
}

/** Somebody who waits for an opening that does not come to an end, and what he is counted as. */
function waiting({ signal, timeout = 100 }: { readonly signal?: AbortSignal; readonly timeout?: number } = {}) {
  const clock = new FakeClock();
  const ends = new Cancellations();
  const refused: unknown[] = [];
  const finder = new LaneFinder({
    settings: { pool: 'app', ends, onRefused: (error, label, waited) => refused.push([error, label, waited]) },
    clock,
    known: () => undefined,
    open: () => gate().passed,
    openError: () => undefined,
  });
  const request = {
    label: 'order',
    signal,
    priority: 0,
    timeout,
    since: clock.now(),
    scope: undefined,
    site: undefined,
  };
  return { clock, ends, refused, finding: Promise.resolve(finder.find(request)) };
}

test('who waits for an opening that hangs is refused at the deadline, and told what to look for', async (t) => {
  const { clock, refused, finding } = waiting();
  const late = t.throwsAsync(finding, refusal('WRITE_TIMEOUT'));
  await clock.pass(100);
  const error = await late;
  t.regex(
    error?.message ?? '',
    /\n {2}What to do: if this happens without load, find out why opening the file takes so long/,
  );
  t.like(error, { holder: undefined, label: 'order', timeout: 100, cause: undefined });
  t.deepEqual(refused, [[error, 'order', 100]]);
  t.is(clock.pending, 0);
});

test('who waits for an opening that hangs is let go by an abort, and by the end of the pool', async (t) => {
  const controller = new AbortController();
  const aborted = waiting({ signal: controller.signal, timeout: Infinity });
  const gone = t.throwsAsync(aborted.finding, { name: 'AbortError' });
  await settled();
  controller.abort();
  t.deepEqual(aborted.refused, [[await gone, 'order', 0]]);

  const closed = waiting({ timeout: Infinity });
  const ended = t.throwsAsync(closed.finding, refusal('CLOSED'));
  await settled();
  closed.ends.cancel(() => new ClosedError('app'));
  t.deepEqual(closed.refused, [[await ended, 'order', 0]]);
});

test('an abort while `onOpen` has the first connection is told at once, and counted', async (t) => {
  const opening = gate();
  const { pool } = open(t, { onOpen: () => opening.passed });
  const controller = new AbortController();
  const aborted = t.throwsAsync(
    pool.transaction(() => {}, { signal: controller.signal }),
    { name: 'AbortError' },
  );
  await settled();
  controller.abort();
  await aborted;
  t.like(pool.stats(), { laneHeld: 0, laneWaiting: 0, counters: { aborted: 1 } });
  opening.open();
  t.is(await pool.transaction(() => 'next'), 'next');
});

test('a write scope whose time is over before there is the connection it was to share does not queue for the lane', async (t) => {
  const { pool, clock } = open(t, { max: 1 });
  const holder = await pool.acquire({ label: 'holder' });
  const writer = await pool.openTransaction({ label: 'writer' }).begun;
  await pool.withScope(async () => {
    const binding = t.throwsAsync(pool.connection({ timeout: 200 }), refusal('ACQUIRE_TIMEOUT'));
    let ran = false;
    const late = t.throwsAsync(
      pool.withConnection(
        () => {
          ran = true;
        },
        { write: true, timeout: 100 },
      ),
      refusal('ACQUIRE_TIMEOUT'),
    );
    await clock.pass(200);
    await binding;
    t.like(await late, { timeout: 100, holders: [{ label: 'holder' }] });
    t.false(ran);
    t.like(pool.stats(), { laneHeld: 1, laneWaiting: 0, counters: { timeouts: 2 } });
  });
  await writer.rollback();
  holder.close();
});

test('a transaction is not run again in a scope that ends in the step in which its pause is over', async (t) => {
  const { pool, clock } = open(t);
  const scope = pool.openScope();
  let runs = 0;
  const retried = t.throwsAsync(
    scope.run(() =>
      pool.transaction(
        () => {
          runs++;
          throw Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY_SNAPSHOT' });
        },
        { retries: 3 },
      ),
    ),
    refusal('SCOPE_ENDED'),
  );
  // The timer of housekeeping holds nothing.
  while (clock.holding === 0) await settled();
  clock.advance(clock.next);
  await scope.end();
  await retried;
  t.is(runs, 1);
});
