import { cpSync, symlinkSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { AbortError } from '../../lib/errors.ts';
import { createPool } from '../../lib/index.ts';
import { whenClosed } from '../../lib/pool/observable.ts';
import { attempt, fakePool } from '../support/driver.ts';
import { temporaryDirectory } from '../support/files.ts';
import { settled } from '../support/gate.ts';
import { collected } from '../support/gc.ts';

interface Copy {
  readonly createPool: typeof createPool;
  readonly whenClosed: typeof whenClosed;
}

/** Another copy of the package in this process, as two versions of it in one application are. */
async function copyOfPackage(t: ExecutionContext): Promise<Copy> {
  const directory = temporaryDirectory(t);
  const library = fileURLToPath(new URL('../../lib', import.meta.url));
  cpSync(library, join(directory, 'lib'), { recursive: true });
  symlinkSync(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(directory, 'node_modules'));
  const load = (file: string) =>
    import(pathToFileURL(join(directory, 'lib', `${file}${extname(import.meta.url)}`)).href) as Promise<Copy>;
  const [index, observable] = [await load('index'), await load('pool/observable')];
  return { createPool: index.createPool, whenClosed: observable.whenClosed };
}

test('numbers of pools are unique across copies of the package, in the order in which the pools were made', async (t) => {
  const copy = await copyOfPackage(t);
  t.not(copy.createPool, createPool);
  const pools = [createPool, copy.createPool, createPool, copy.createPool, copy.createPool].map((make) =>
    make(':memory:'),
  );
  const ids = pools.map(({ id }) => id);
  t.deepEqual(
    ids,
    ids.toSorted((a, b) => a - b),
  );
  t.is(new Set(ids).size, ids.length);
  t.true(ids.every((id) => Number.isSafeInteger(id) && id > 0));
  for (const pool of pools) await pool.close();
});

test('what watches a pool finds its method by the same name in each copy of the package', async (t) => {
  const copy = await copyOfPackage(t);
  t.is(copy.whenClosed, whenClosed);
  const pool = copy.createPool(':memory:');
  let closed = 0;
  pool[whenClosed](() => closed++);
  await pool.close();
  t.is(closed, 1);
});

test('`whenClosed` is called once, after the last event', async (t) => {
  const { pool, clock } = fakePool(t);
  const log: string[] = [];
  pool.on('release', () => log.push('release'));
  pool.on('close', ({ connection }) => log.push(`close ${connection}`));
  pool[whenClosed](() => log.push('closed'));
  await (await pool.acquire()).release();
  const held = await pool.acquire();
  log.length = 0;
  const closing = [pool.close(), pool.close(), pool.close({ timeout: 10 })];
  await settled();
  t.deepEqual(log, [], 'a holder is waited for');
  void held.release();
  await Promise.all(closing);
  t.deepEqual(log, ['release', 'close 1', 'closed']);
  await pool.close();
  await clock.pass(100);
  t.is(log.length, 3);
});

test('`whenClosed` is called where connections were taken away from their holders, too', async (t) => {
  const { pool } = fakePool(t);
  const log: string[] = [];
  pool.on('close', () => log.push('close'));
  pool[whenClosed](() => log.push('closed'));
  await pool.acquire();
  await pool.acquire();
  await pool.close({ timeout: 0 });
  t.deepEqual(log, ['close', 'close', 'closed']);
});

test('it is called on a pool that has never opened a connection', async (t) => {
  const { pool } = fakePool(t);
  let closed = 0;
  pool[whenClosed](() => closed++);
  await pool.close();
  t.is(closed, 1);
});

test('who has given it up is not called, and the others are', async (t) => {
  const { pool } = fakePool(t);
  const log: string[] = [];
  const giveUps = ['a', 'b', 'c'].map((name) => pool[whenClosed](() => log.push(name)));
  giveUps[1]?.();
  giveUps[1]?.();
  await pool.close();
  t.deepEqual(log, ['a', 'c']);
  for (const giveUp of giveUps) t.notThrows(() => giveUp(), 'also after the end');
});

test('one that gives another up as it is called spares it', async (t) => {
  const { pool } = fakePool(t);
  const log: string[] = [];
  const giveUps: (() => void)[] = [];
  pool[whenClosed](() => {
    log.push('first');
    for (const giveUp of giveUps) giveUp();
  });
  giveUps.push(pool[whenClosed](() => log.push('second')));
  await pool.close();
  t.deepEqual(log, ['first']);
});

test('what gives it up does not hold the pool', async (t) => {
  const giveUps: (() => void)[] = [];
  const made = (() => {
    const pool = createPool(':memory:');
    giveUps.push(pool[whenClosed](() => {}));
    return new WeakRef(pool);
  })();
  t.true(await collected(() => made.deref() === undefined));
  for (const giveUp of giveUps) t.notThrows(() => giveUp());
});

test('of those who want to know that a pool has closed, one that throws keeps neither the others nor the close', async (t) => {
  const { pool } = fakePool(t);
  const told: string[] = [];
  pool[whenClosed](() => told.push('first'));
  pool[whenClosed](() => {
    throw new Error('It fails while it stops watching');
  });
  const forget = pool[whenClosed](() => told.push('forgotten'));
  pool[whenClosed](() => told.push('last'));
  forget();
  await pool.close();
  t.deepEqual(told, ['first', 'last']);
  await pool.close();
  t.deepEqual(told, ['first', 'last'], 'once');
});

test('a signal whose earlier listener frees the connection does not get it for the acquire it aborts', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const controller = new AbortController();
  controller.signal.addEventListener('abort', () => void holder.release());
  const aborted = attempt(pool.acquire({ signal: controller.signal }));
  const next = attempt(pool.acquire());
  controller.abort();
  await settled();
  t.true(aborted.error instanceof AbortError);
  t.is(next.state, 'granted');
  t.like(pool.stats().counters, { aborted: 1, acquired: 2 });
});

test('a listener of a timeout may acquire again', async (t) => {
  const { pool, clock } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const again: ReturnType<typeof attempt>[] = [];
  pool.once('timeout', () => again.push(attempt(pool.acquire({ timeout: 50 }))));
  const late = attempt(pool.acquire({ timeout: 10 }));
  await clock.pass(10);
  t.is(late.state, 'refused');
  t.is(pool.stats().waiting, 1);
  void holder.release();
  await settled();
  t.is(again[0]?.state, 'granted');
});

test('a listener of a timeout may close the pool during a hand-off', async (t) => {
  const { pool, clock, driver } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  pool.on('timeout', () => void pool.close());
  const late = attempt(pool.acquire({ timeout: 10 }));
  const patient = attempt(pool.acquire());
  clock.skip(10);
  void holder.release();
  await settled();
  t.like(late.error, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT' });
  t.like(patient.error, { code: 'ERR_LEASEHOLD_CLOSED' });
  t.is(driver.connections.size, 0);
});

test('an acquire during which a listener closes the pool is refused', async (t) => {
  const { pool, clock, driver } = fakePool(t, { maxLifetime: 1000 });
  await (await pool.acquire()).release();
  pool.on('close', () => void pool.close());
  clock.skip(1000);
  await t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_CLOSED' });
  t.is(driver.connections.size, 0);
});

test('a tryAcquire during which onOpen closes the pool is refused, and its connection closed', async (t) => {
  const { pool, driver } = fakePool(t, { onOpen: () => void pool.close() });
  t.throws(() => pool.tryAcquire(), { code: 'ERR_LEASEHOLD_CLOSED' });
  await settled();
  t.is(driver.opens, 1);
  t.is(driver.connections.size, 0);
});

test('a listener may close idle connections while the housekeeping does', async (t) => {
  const { pool, clock } = fakePool(t, { max: 3, maxLifetime: 10_000 });
  const handles = [await pool.acquire(), await pool.acquire(), await pool.acquire()];
  for (const handle of handles) await handle.release();
  const closed: number[] = [];
  pool.on('close', ({ connection }) => {
    closed.push(connection);
    pool.closeIdle();
  });
  clock.skip(10_000);
  await clock.pass(1000);
  t.deepEqual(new Set(closed), new Set([1, 2, 3]));
  t.is(closed.length, 3);
});

test('what a listener puts back while the housekeeping closes others is not lost', async (t) => {
  const { pool, clock } = fakePool(t, { max: 3, maxLifetime: 10_000, order: 'fifo' });
  const old = [await pool.acquire(), await pool.acquire()];
  await clock.pass(5000);
  const young = await pool.acquire();
  for (const handle of [...old, young]) await handle.release();
  // Passes over the second of the old ones, which is closed on the way.
  pool.once('close', () => void pool.tryAcquire()?.release());
  clock.skip(5000);
  await clock.pass(1000);
  t.like(pool.stats(), { size: 1, idle: 1, counters: { closed: 2 } });
  t.is(pool.tryAcquire()?.use(), 3);
});

test('a listener may give back another lease that closeOverdue was about to take', async (t) => {
  const { pool } = fakePool(t);
  const [, second] = [await pool.acquire(), await pool.acquire()];
  pool.once('release', () => void second.release());
  t.is(pool.closeOverdue(0), 1);
  t.like(pool.stats(), { leased: 0, idle: 1, counters: { doubleReleases: 0, released: 2, discarded: 1 } });
});

test('a listener of a release may acquire, and comes after those who wait', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  const holder = await pool.acquire();
  const waiting = attempt(pool.acquire());
  const later: ReturnType<typeof attempt>[] = [];
  pool.once('release', () => later.push(attempt(pool.acquire())));
  void holder.release();
  await settled();
  t.is(waiting.state, 'granted');
  t.is(later[0]?.state, 'waiting');
  await waiting.handle?.release();
  await settled();
  t.is(later[0]?.state, 'granted');
});
