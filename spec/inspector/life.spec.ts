import { execFile } from 'node:child_process';
import { extname } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { poolEventNames } from '../../lib/events.ts';
import { Monitor } from '../../lib/inspector/monitor.ts';
import type { Report } from '../../lib/inspector/wire.ts';
import { inspector } from '../../lib/inspector.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { collected } from '../support/gc.ts';
import { openItems } from '../support/items.ts';
import { ask, here, inspect } from './support/serve.ts';
import { stillPool, watchedPool } from './support/watched.ts';

// What an inspector keeps alive, and what is left of it after its end.

const resolveModule = (path: string) => new URL(`${path}${extname(import.meta.url)}`, import.meta.url).href;

/** Runs a program in a process of its own, and gives the lines it wrote. Fails where the process does not end by itself. */
async function run(program: string, file: string): Promise<string[]> {
  const prelude = `
    import { createPool } from '${resolveModule('../../lib/index')}';
    import { inspector } from '${resolveModule('../../lib/inspector')}';
    import { createServer, get } from 'node:http';
    const log = (...words) => console.log(...words);
    process.on('exit', (code) => log('exit', code));
    const pool = createPool(process.argv[1]);
    await pool.run('CREATE TABLE item (name)');
    const page = inspector(pool);
  `;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', `${prelude}\n${program}`, file],
    // Far above what it takes, so that a process that is kept alive fails here and nothing else does.
    { timeout: 20_000 },
  );
  return stdout.split('\n').slice(0, -1);
}

test('a process with an inspector and an open pool ends by itself', async (t) => {
  t.deepEqual(await run(`log(typeof page);`, temporaryFile(t)), ['function', 'exit 0']);
});

test('a process ends by itself while a stream of events is open that nobody reads, or somebody has read', async (t) => {
  const lines = await run(
    `
    const ask = () => page(new Request('http://localhost/events', { headers: { host: 'localhost' } }), { address: '127.0.0.1' });
    const [unread, read] = [await ask(), await ask()];
    const reader = read.body.getReader();
    await reader.read();
    await reader.read();
    log(unread.status, read.status);`,
    temporaryFile(t),
  );
  t.deepEqual(lines, ['200 200', 'exit 0']);
});

test('a server closes when the pool is closed, though somebody listens, and the process ends', async (t) => {
  const lines = await run(
    `
    const server = createServer(page.node).listen(0, '127.0.0.1', () => {
      get({ port: server.address().port, path: '/events', host: '127.0.0.1' }, (response) => {
        response.once('data', async () => {
          server.close(() => log('server closed'));
          await pool.close();
          log('pool closed');
        });
        response.on('end', () => log('stream ended'));
      });
    });`,
    temporaryFile(t),
  );
  t.deepEqual(lines.toSorted(), ['exit 0', 'pool closed', 'server closed', 'stream ended']);
});

/** How many listeners a pool has for each event, by what it costs to be told: asked of its own emitter. */
function listened(pool: SqlitePool): string[] {
  const { events } = pool as unknown as { readonly events: { hasListener(name: string): boolean } };
  return poolEventNames.filter((name) => events.hasListener(name));
}

test('close takes all listeners from the pool, its observer and its timers, and what comes then is recorded no more', async (t) => {
  const clock = new FakeClock();
  const pool = await stillPool(t, {}, clock);
  t.deepEqual(listened(pool), []);
  const pending = clock.pending;
  const monitor = new Monitor([pool], false, clock);
  t.true(listened(pool).length > 0);
  t.is(clock.pending, pending + 1);
  t.false(listened(pool).includes('acquire') || listened(pool).includes('release'), 'leases cost no event');
  await pool.withConnection(() => {}, { label: 'before' });
  monitor.stop();
  t.deepEqual(listened(pool), []);
  t.is(clock.pending, pending);
  const { number } = monitor;
  await pool.withConnection(() => {}, { label: 'after' });
  await clock.pass(10_000);
  t.is(monitor.number, number);
  const { ticks } = JSON.parse(monitor.report());
  t.deepEqual(
    ticks.flatMap(({ pools }: { pools: { bars: { label: string }[] }[] }) => pools[0]?.bars.map(({ label }) => label)),
    ['before'],
  );
});

test('no timer of it keeps a process alive', async (t) => {
  const { clock } = await watchedPool(t);
  t.is(clock.holding, 0);
});

test('a pool that has been closed leaves no timer of its inspector', async (t) => {
  const { clock, pool } = await watchedPool(t);
  await pool.close();
  t.is(clock.pending, 0);
});

test('a pool can be collected once its inspector is closed and forgotten', async (t) => {
  const gone = await (async () => {
    const pool = new SqlitePool(temporaryFile(t), { acquireTimeout: 50 }, new FakeClock());
    await pool.withConnection(() => {});
    const page = inspector(pool);
    await page(ask('/data'), here);
    page.close();
    return new WeakRef(pool);
  })();
  t.true(await collected(() => gone.deref() === undefined));
});

for (const leakThreshold of [Infinity, 100_000]) {
  test(`of who held a lease nothing is kept alive${leakThreshold === Infinity ? '' : ', also where stacks are captured'}`, async (t) => {
    const { pool, tick } = await watchedPool(t, { leakThreshold });
    class Exchange {
      readonly url = '/secret';
      async serve(): Promise<void> {
        const scope = pool.openScope({ label: () => this.url, signal: new AbortController().signal });
        await scope.run(() => pool.connection());
        await scope.end();
      }
    }
    const serve = async () => {
      const exchange = new Exchange();
      await exchange.serve();
      return new WeakRef(exchange);
    };
    const exchanges = [await serve(), await serve(), await serve()];
    const reader = await tick();
    t.is(reader.bars().filter(({ label }) => label === '/secret').length, 3);
    t.true(await collected(() => exchanges.every((exchange) => exchange.deref() === undefined)));
  });
}

test('the event loop is watched: a delay shows in the tick after it, or the next', async (t) => {
  const pool = await openItems(t);
  const page = inspect(t, pool);
  const ticks = async () => ((await (await page(ask('/data'), here)).json()) as Report).ticks;
  while ((await ticks()).length < 1) await new Promise((resolve) => setTimeout(resolve, 20));
  const until = performance.now() + 300;
  while (performance.now() < until);
  const { length } = await ticks();
  while ((await ticks()).length < length + 2) await new Promise((resolve) => setTimeout(resolve, 20));
  const later = (await ticks()).slice(length - 1);
  const longest = Math.max(...later.map(({ loop }) => loop.delay));
  t.true(longest > 200, `${longest} ms`);
  // And it is told once: there comes a tick that had less of it.
  const isOver = async () => (await ticks()).slice(length).some(({ loop }) => loop.delay < longest / 2);
  while (!(await isOver())) await new Promise((resolve) => setTimeout(resolve, 50));
});
