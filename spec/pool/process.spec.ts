import { execFile } from 'node:child_process';
import { extname } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';

// The sources here, the compiled files beside compiled specs.
const resolveModule = (path: string) => new URL(`${path}${extname(import.meta.url)}`, import.meta.url).href;

const prelude = `
  import { ScopedPool } from '${resolveModule('../../lib/scoped-pool')}';
  import { poolSettings } from '${resolveModule('../../lib/options')}';
  import { FakeDriver } from '${resolveModule('../support/driver')}';
  const log = (...words) => console.log(...words);
  const make = (options, driver = new FakeDriver()) =>
    new ScopedPool(driver, poolSettings(options, { name: 'child', max: 1 }), options);
`;

/** Runs a program in a process of its own with the real clock, and returns the lines it wrote. */
async function run(program: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--expose-gc', '--input-type=module', '--eval', `${prelude}\n${program}`],
    // Far above what it takes, so that a process that is kept alive fails here and nothing else does.
    { timeout: 20_000 },
  );
  return stdout.split('\n').slice(0, -1);
}

test('a pending acquire keeps the process alive until it times out', async (t) => {
  const lines = await run(`
    process.on('exit', (code) => log('exit', code));
    const pool = make({ acquireTimeout: 150 });
    const holder = await pool.acquire();
    pool.acquire().then(() => log('granted'), (error) => log(error.code));
  `);
  t.deepEqual(lines, ['ERR_LEASEHOLD_ACQUIRE_TIMEOUT', 'exit 0']);
});

test('a pending acquire keeps the process alive while its connection is opened, even if that hangs', async (t) => {
  const lines = await run(`
    process.on('exit', (code) => log('exit', code));
    const driver = new FakeDriver();
    driver.beforeOpen = () => new Promise(() => {});
    const pool = make({ acquireTimeout: 150 }, driver);
    pool.acquire().then(() => log('granted'), (error) => log(error.code));
  `);
  t.deepEqual(lines, ['ERR_LEASEHOLD_ACQUIRE_TIMEOUT', 'exit 0']);
});

test('neither an idle nor a leased connection, nor a wait that is over, keeps the process alive', async (t) => {
  const lines = await run(`
    process.on('exit', (code) => log('exit', code));
    const pool = make({ max: 2, min: 1, acquireTimeout: 600_000, leakThreshold: 600_000, maxLifetime: 600_000 });
    await pool.ready();
    const holders = [await pool.acquire(), await pool.acquire()];
    const waiting = pool.acquire();
    holders[0].release();
    const controller = new AbortController();
    const aborted = pool.acquire({ signal: controller.signal }).catch((error) => log(error.code));
    controller.abort();
    await aborted;
    await (await waiting).release();
    const { idle, leased } = pool.stats();
    log('idle', idle, 'leased', leased);
  `);
  t.deepEqual(lines, ['ABORT_ERR', 'idle 1 leased 1', 'exit 0']);
});

test('after close nothing of the pool keeps the process alive', async (t) => {
  const lines = await run(`
    const before = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const pool = make({ max: 2, acquireTimeout: 600_000 });
    await pool.acquire();
    await pool.acquire();
    const waiting = [pool.acquire(), pool.acquire()];
    const during = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    await pool.close({ timeout: 0 });
    const outcomes = await Promise.allSettled(waiting);
    log(outcomes.map(({ reason }) => reason.code).join(' '));
    log(before, during, process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length);
  `);
  t.deepEqual(lines, ['ERR_LEASEHOLD_CLOSED ERR_LEASEHOLD_CLOSED', '0 1 0']);
});

test('a pool that is dropped without close is collected, with its connections', async (t) => {
  const lines = await run(`
    const refs = await (async () => {
      const driver = new FakeDriver();
      const pool = make({ min: 1, acquireTimeout: 50, leakThreshold: 1000 }, driver);
      await pool.ready();
      pool.on('open', () => pool.stats());
      const holder = await pool.acquire();
      const waiting = pool.acquire();
      await holder.release();
      await (await waiting).release();
      await pool.withConnection((db) => db.use());
      return [pool, driver, ...driver.connections].map((each) => new WeakRef(each));
    })();
    log(refs.length);
    const left = () => refs.filter((ref) => ref.deref()).length;
    const nextJob = () => new Promise((resolve) => setTimeout(resolve, 10));
    for (let round = 0; round < 400 && left() > 0; round++) {
      // What a WeakRef has shown stays alive until the end of the job.
      await nextJob();
      gc();
      await nextJob();
    }
    log(left());
  `);
  t.deepEqual(lines, ['3', '0']);
});

test('a handle dropped without release is recovered, and reported as a leak', async (t) => {
  const lines = await run(`
    const pool = make({ leakThreshold: 40, acquireTimeout: 15_000 });
    pool.on('leak', ({ kind, holder }) => {
      log(kind, holder.label, holder.age >= 10, holder.stack.includes('at lose'));
      if (kind === 'dropped') clearInterval(collecting);
    });
    async function lose() {
      const handle = await pool.acquire({ label: 'lost' });
      await new Promise((resolve) => setTimeout(resolve, 80));
      handle.use();
    }
    await lose();
    const collecting = setInterval(gc, 5);
    const next = await pool.acquire({ label: 'next' });
    log('next', next.use());
    await pool.close({ timeout: 0 });
  `);
  t.deepEqual(lines, ['overdue lost true true', 'dropped lost true true', 'returned lost true true', 'next 1']);
});
