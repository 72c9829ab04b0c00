import { cpSync, symlinkSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { createPool } from '../../lib/index.ts';
import { whenClosed } from '../../lib/pool/observable.ts';
import { fakePool } from '../support/driver.ts';
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
