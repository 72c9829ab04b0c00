import { cpSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { createPool } from '../../lib/index.ts';
import type { Report } from '../../lib/inspector/wire.ts';
import { inspector } from '../../lib/inspector.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { openItems } from '../support/items.ts';
import { ask, here, inspect } from './support/serve.ts';
import { stillPool, watch, watchedPool } from './support/watched.ts';

// Several pools, several inspectors, pools that are closed, and copies of the package.

test('pools are told in the order in which they are given, each with its own', async (t) => {
  const clock = new FakeClock();
  const [b, a] = [await stillPool(t, { name: 'b' }, clock), await stillPool(t, { name: 'a' }, clock)];
  const { tick } = watch(t, [b, a], clock);
  await a.withConnection(() => clock.skip(5), { label: 'of a' });
  await b.withConnection(() => clock.skip(7), { label: 'of b' });
  const reader = await tick(10);
  t.deepEqual(
    reader.report?.pools.map(({ name, id }) => [name, id]),
    [
      ['b', b.id],
      ['a', a.id],
    ],
  );
  t.deepEqual(
    reader.ticks.map(({ pools }) => pools.map(({ pool }) => pool)),
    Array.from({ length: 10 }, () => [b.id, a.id]),
  );
  t.like(reader.bars(a.id), [{ label: 'of a' }]);
  t.like(reader.bars(b.id), [{ label: 'of b' }]);
  t.deepEqual(
    reader.trends.map(({ pool, hold }) => [pool, hold.count]),
    [
      [b.id, 1],
      [a.id, 1],
    ],
  );
});

test('the same pool given twice is shown once', async (t) => {
  const pool = await openItems(t);
  const page = inspect(t, [pool, pool]);
  const report = (await (await page(ask('/data'), here)).json()) as Report;
  t.is(report.pools.length, 1);
});

test('a list of pools is taken as it is at the time of the call', async (t) => {
  const pools = [await openItems(t)];
  const page = inspect(t, pools);
  pools.push(await openItems(t));
  t.is(((await (await page(ask('/data'), here)).json()) as Report).pools.length, 1);
});

test('two inspectors of one pool each tell all of it, and one that is closed takes nothing from the other', async (t) => {
  const { pool, clock, ...one } = await watchedPool(t);
  const other = watch(t, [pool], clock);
  const use = (label: string) => pool.withConnection(() => pool.read(async () => clock.skip(3)), { label });
  await use('both');
  for (const watched of [one, other]) {
    t.like((await watched.tick()).bars(), [{ label: 'both' }]);
  }
  one.monitor.stop();
  await use('the other');
  other.read();
  const bars = (await other.tick()).bars();
  t.deepEqual(
    bars.map(({ label, reads }) => [label, reads.length]),
    [
      ['both', 1],
      ['the other', 1],
    ],
  );
  t.is(one.read().bars().length, 1);
});

test('a pool that is closed goes on to be shown as such among others, with all that ended in it', async (t) => {
  const clock = new FakeClock();
  const [first, second] = [await stillPool(t, { name: 'first' }, clock), await stillPool(t, { name: 'second' }, clock)];
  const { tick, monitor } = watch(t, [first, second], clock);
  await tick();
  const holder = await first.acquire({ label: 'last of first' });
  const closing = first.close();
  holder.close();
  await closing;
  await second.withConnection(() => {}, { label: 'goes on' });
  const reader = await tick();
  t.like(reader.state(0), { closed: true, size: 0, leased: 0 });
  t.like(reader.state(1), { closed: false });
  t.deepEqual(
    [...reader.bars(first.id), ...reader.bars(second.id)].map(({ label }) => label),
    ['last of first', 'goes on'],
  );
  await tick();
  t.deepEqual(
    reader.ticks.at(-1)?.pools.map(({ pool }) => pool),
    [second.id],
  );
  t.false(monitor.isOver);
  await second.close();
  t.true(monitor.isOver);
});

test('a pool that is closed already is shown as such, and there is nothing to listen to', async (t) => {
  const pool = await openItems(t);
  await pool.close();
  const page = inspect(t, pool);
  const report = (await (await page(ask('/data'), here)).json()) as Report;
  t.like(report, { complete: true, pools: [{ closed: true, size: 0, leased: 0 }] });
  t.is((await page(ask('/events'), here)).status, 204);
});

test('leases that are taken away by close are told', async (t) => {
  const { pool, clock, read } = await watchedPool(t);
  const [inside, started] = [gate(), gate()];
  const work = pool.transaction(
    async () => {
      started.open();
      await inside.passed;
    },
    { label: 'taken' },
  );
  work.catch(() => {});
  await started.passed;
  clock.skip(25);
  const closing = pool.close({ timeout: 0 });
  inside.open();
  await t.throwsAsync(work);
  await closing;
  const reader = read();
  t.true(reader.state().closed);
  t.like(reader.bars(), [{ label: 'taken' }]);
  t.is(reader.bars()[0]?.writes.length, 1);
});

test('who waits for the lane of a file in another pool is told, with the holder of that pool', async (t) => {
  const clock = new FakeClock();
  const file = temporaryFile(t);
  const one = await stillPool(t, { name: 'one' }, clock, file);
  const two = await stillPool(t, { name: 'two' }, clock, file);
  const { read } = watch(t, [one, two], clock);
  const holder = await one.acquire({ write: true, label: 'holds' });
  const waiting = two.transaction(() => {}, { label: 'waits' });
  await settled();
  const reader = read();
  const [lease] = reader.state(0).holders;
  t.like(reader.state(0).lane, { waiting: 1, holder: { pool: 'one', label: 'holds', lease: lease?.lease } });
  t.like(reader.state(1).lane, { waiting: 1, holder: { pool: 'one', label: 'holds' } });
  t.is(reader.state(1).lane?.holder?.lease, undefined, 'a number of another pool means nothing in this one');
  holder.close();
  await waiting;
});

for (const [what, maker] of [
  ['a pool of another copy of the package', 'createPool'],
  ['an inspector of another copy of the package', 'inspector'],
] as const) {
  test(`${what} is none the worse`, async (t) => {
    const copy = await otherCopy(t);
    t.not(copy.createPool, createPool, 'It has modules of its own');
    const pool = (maker === 'createPool' ? copy.createPool : createPool)(temporaryFile(t), { name: 'copy', max: 1 });
    t.teardown(() => pool.close({ timeout: 0 }));
    const page = (maker === 'inspector' ? copy.inspector : inspector)(pool);
    t.teardown(() => page.close());
    const held = await pool.acquire({ label: 'held' });
    const waiting = pool.acquire({ label: 'waits' });
    await settled();
    const report = (await (await page(ask('/data'), here)).json()) as Report;
    t.like(report.pools[0], {
      name: 'copy',
      leased: 1,
      waiting: 1,
      holders: [{ label: 'held', connection: 1 }],
      waiters: [{ label: 'waits', for: 'connection' }],
    });
    held.close();
    (await waiting).close();
  });
}

/** A second copy of the library, with modules of its own and the same dependencies. */
async function otherCopy(t: ExecutionContext) {
  const directory = temporaryDirectory(t);
  const lib = fileURLToPath(new URL('../../lib', import.meta.url));
  cpSync(lib, join(directory, 'lib'), { recursive: true });
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  // …/node_modules/better-sqlite3/lib/index.js
  const modules = dirname(dirname(dirname(fileURLToPath(import.meta.resolve('better-sqlite3')))));
  symlinkSync(modules, join(directory, 'node_modules'));
  const load = (name: string): Promise<unknown> =>
    import(pathToFileURL(join(directory, 'lib', `${name}${extname(import.meta.url)}`)).href);
  return {
    ...((await load('index')) as { readonly createPool: typeof createPool }),
    ...((await load('inspector')) as { readonly inspector: typeof inspector }),
  };
}
