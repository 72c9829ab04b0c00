import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { AcquireTimeoutError, type SqlitePoolOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { WriteTimeoutError } from '../../lib/transaction-errors.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { rawDatabase } from '../support/sqlite.ts';

// Who waits in vain because something blocked the event loop is told so, rather than to look at who held what.

const insert = "INSERT INTO item VALUES ('x')";

async function watched(t: ExecutionContext, options?: SqlitePoolOptions) {
  const clock = new FakeClock();
  const file = temporaryFile(t);
  const pool = new SqlitePool(file, { name: 'app', max: 1, ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.run('CREATE TABLE item (name TEXT)');
  return { clock, pool, file };
}

type World = Awaited<ReturnType<typeof watched>>;
type Late = AcquireTimeoutError | WriteTimeoutError;

interface Wait {
  readonly kind: typeof AcquireTimeoutError | typeof WriteTimeoutError;
  /** Holds what the others wait for; what it resolves to gives it back. */
  hold(pool: SqlitePool): Promise<() => void>;
  ask(pool: SqlitePool, timeout: number): Promise<unknown>;
}

const waits: Record<string, Wait> = {
  'a connection': {
    kind: AcquireTimeoutError,
    hold: async (pool) => {
      const db = await pool.acquire();
      return () => void db.close();
    },
    ask: (pool, timeout) => pool.withConnection(() => 'in', { timeout }),
  },
  'the write lane': {
    kind: WriteTimeoutError,
    hold: async (pool) => {
      const db = await pool.acquire({ write: true });
      return () => void db.close();
    },
    ask: (pool, timeout) => pool.run(insert, [], { timeout }),
  },
};

/** How the loop comes to a deadline that passed `lateBy` ago: by a timer that is late, or by who gives back first. */
const endings: Record<string, (world: World, release: () => void) => void> = {
  'its timer': ({ clock }) => clock.advance(0),
  'who gives back': (_, release) => release(),
};

async function refusedLate(world: World, { hold, ask }: Wait, ending: string, timeout: number, lateBy: number) {
  const { clock, pool } = world;
  const release = await hold(pool);
  const asking = ask(pool, timeout).then(
    () => undefined,
    (error: unknown) => error as Late,
  );
  await settled();
  clock.skip(timeout + lateBy);
  endings[ending]?.(world, release);
  const error = await asking;
  release();
  return error;
}

for (const [what, wait] of Object.entries(waits)) {
  for (const ending of Object.keys(endings)) {
    test(`who waited for ${what} while the loop was blocked is told for how long, by ${ending}`, async (t) => {
      const world = await watched(t);
      const error = await refusedLate(world, wait, ending, 100, 700);
      t.true(error instanceof wait.kind, String(error));
      t.is(error?.lateBy, 700);
      t.is(error?.timeout, 100);
      t.regex(
        error?.message ?? '',
        /\n {2}What to do: the event loop was blocked, and came to this 700 ms late: look for a synchronous query, or other work, that takes so long\./,
      );
      t.is(error?.message.match(/What to do/g)?.length, 1);
      t.false(error?.message.includes('look at what the holder'));
      world.pool.assertIdle();
    });

    test(`a lateness that is no reason is not named to who waited for ${what}, by ${ending}`, async (t) => {
      const world = await watched(t);
      const error = await refusedLate(world, wait, ending, 100, 49);
      t.true(error instanceof wait.kind, String(error));
      t.is(error?.lateBy, 49);
      t.false(error?.message.includes('blocked'), error?.message);
      t.true(error?.message.includes('What to do: '));
    });
  }

  test(`who waited for ${what} is told that the loop was blocked from where it may be the reason`, async (t) => {
    const cases: readonly [timeout: number, lateBy: number, isNamed: boolean][] = [
      [100, 99, false],
      [100, 100, true],
      [1000, 100, true],
      [5000, 499, false],
      [5000, 500, true],
    ];
    const world = await watched(t);
    for (const [timeout, lateBy, isNamed] of cases) {
      const error = await refusedLate(world, wait, 'its timer', timeout, lateBy);
      t.is(error?.message.includes('the event loop was blocked'), isNamed, `${timeout} ms, ${lateBy} ms late`);
    }
  });

  test(`each of those who waited for ${what} is told how late it was for him`, async (t) => {
    const { clock, pool } = await watched(t);
    const release = await wait.hold(pool);
    const late: Late[] = [];
    const asking = [100, 300, 900].map((timeout) =>
      wait.ask(pool, timeout).catch((error: unknown) => void late.push(error as Late)),
    );
    await settled();
    clock.skip(600);
    clock.advance(0);
    await settled();
    t.deepEqual(
      late.map(({ timeout, lateBy }) => [timeout, lateBy]),
      [
        [100, 500],
        [300, 300],
      ],
    );
    release();
    await Promise.all(asking);
    t.is(late.length, 2, 'whose deadline has not passed gets what he waits for');
  });
}

test('a lock outside of the pool is named even where the loop was blocked, and how late it was is in the error', async (t) => {
  const { clock, pool, file } = await watched(t);
  const outside = rawDatabase(t, file);
  outside.exec('BEGIN IMMEDIATE');
  const asking = t.throwsAsync<WriteTimeoutError>(pool.run(insert, [], { timeout: 100 }), {
    instanceOf: WriteTimeoutError,
  });
  await settled();
  clock.skip(800);
  clock.advance(0);
  const error = await asking;
  t.is(error.lateBy, 700);
  t.regex(error.message, /What to do: find who else has the file open/);
  outside.exec('COMMIT');
});

/** A backup that goes on until the gate is opened. */
async function backingUp(t: ExecutionContext) {
  const world = await watched(t);
  const goOn = gate();
  let isOpen = false;
  void goOn.passed.then(() => {
    isOpen = true;
  });
  const begun = gate();
  const db = await world.pool.acquire({ label: 'nightly' });
  const done = db.backup(join(temporaryDirectory(t), 'copy.db'), {
    progress: () => {
      begun.open();
      return isOpen ? 1000 : 0;
    },
  });
  await begun.passed;
  return { ...world, db, done, goOn };
}

test('a backup under way is use of the connection', async (t) => {
  const { clock, pool, db, done, goOn } = await backingUp(t);
  await clock.pass(3000);
  t.like(pool.leases(), [{ label: 'nightly', age: 3000, idleFor: 0 }]);
  const waiting = t.throwsAsync<AcquireTimeoutError>(pool.acquire({ timeout: 2000 }), {
    message: /nightly +5\.0 s {3}last used 0 ms ago\n {2}What to do: all holders are at work/,
  });
  await clock.pass(2000);
  await waiting;
  goOn.open();
  await done;
  db.close();
});

test('when a backup is done, its holder was last at work at its end', async (t) => {
  const { clock, pool, db, done, goOn } = await backingUp(t);
  await clock.pass(3000);
  goOn.open();
  await done;
  t.is(pool.leases()[0]?.idleFor, 0);
  await clock.pass(40);
  t.is(pool.leases()[0]?.idleFor, 40);
  db.close();
});

test('a backup that fails is over as well', async (t) => {
  const { clock, pool } = await watched(t);
  const db = await pool.acquire();
  await t.throwsAsync(db.backup(join(temporaryDirectory(t), 'no', 'such', 'place.db')));
  await clock.pass(40);
  t.is(pool.leases()[0]?.idleFor, 40);
  db.close();
});
