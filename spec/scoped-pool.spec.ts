import { AsyncLocalStorage } from 'node:async_hooks';
import test, { type ExecutionContext } from 'ava';
import { createPool, type SqlitePool, type SqlitePoolOptions } from '../lib/index.ts';
import { temporaryFile } from './support/files.ts';
import { gate, settled } from './support/gate.ts';
import { collected } from './support/gc.ts';

function open(t: ExecutionContext, options: SqlitePoolOptions = {}): SqlitePool {
  const pool = createPool(temporaryFile(t), options);
  t.teardown(() => pool.close({ timeout: 0 }));
  return pool;
}

/** The number of the connection that `label` holds. */
function connectionOf(pool: SqlitePool, label: string): number | undefined {
  return pool.leases().find((lease) => lease.label === label)?.connection;
}

test('withConnection gives fn a connection and takes it back when fn returns', async (t) => {
  const pool = open(t);
  const result = await pool.withConnection((db) => db.prepare('SELECT 7').pluck().get());
  t.is(result, 7);
  t.like(pool.stats(), { leased: 0, idle: 1 });
});

test('withConnection takes the connection back and passes the error on, whatever is thrown', async (t) => {
  const pool = open(t);
  const failures: [unknown, () => unknown][] = [
    [new Error('sync'), () => undefined],
    [undefined, () => undefined],
    [null, () => undefined],
    ['text', () => undefined],
  ];
  for (const [error] of failures) {
    const thrown = await pool
      .withConnection(() => {
        throw error;
      })
      .then(
        () => t.fail('it should have failed'),
        (caught: unknown) => ({ caught }),
      );
    t.deepEqual(thrown, { caught: error });
    const rejected = await pool
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- any value can be one
      .withConnection(() => Promise.reject(error))
      .then(
        () => t.fail('it should have failed'),
        (caught: unknown) => ({ caught }),
      );
    t.deepEqual(rejected, { caught: error });
    t.is(pool.stats().leased, 0);
  }
});

test('an error of the clean-up shows as an event and never replaces the error of fn', async (t) => {
  const pool = open(t, {
    onRelease: () => {
      throw new Error('hook');
    },
  });
  const errors: string[] = [];
  pool.on('error', (error) => errors.push(error.message));
  const failure = new Error('fn');
  const thrown = await t.throwsAsync(() => pool.withConnection(() => Promise.reject(failure)));
  t.is(thrown, failure);
  t.deepEqual(errors, ['hook']);
  t.like(pool.stats(), { leased: 0, size: 0 });
});

test('nested calls share the connection of the scope, and only the outermost gives it back', async (t) => {
  const pool = open(t);
  await pool.withConnection(async (outer) => {
    await pool.withConnection((inner) => t.is(inner, outer));
    t.is(await pool.connection(), outer);
    t.is(pool.current, outer);
    t.is(pool.stats().leased, 1);
    t.is(await pool.get('SELECT 1').then(() => pool.stats().leased), 1);
  });
  t.is(pool.stats().counters.acquired, 1);
  t.is(pool.stats().leased, 0);
});

test('a nested call with fresh takes a connection of its own for its own duration', async (t) => {
  const pool = open(t);
  await pool.withConnection(async (outer) => {
    await pool.withConnection(
      async (inner) => {
        t.not(inner, outer);
        t.is(pool.current, inner);
        t.is(pool.stats().leased, 2);
      },
      { fresh: true },
    );
    t.is(pool.current, outer);
    t.is(pool.stats().leased, 1);
  });
});

test('two requests that interleave each keep their own connection across every await', async (t) => {
  const pool = open(t, { max: 2 });
  // request 1        request 2
  // takes a
  //                  takes b
  // still a
  //                  still b
  const first = gate();
  const second = gate();
  const request = async (label: string, mine: Promise<void>, other: () => void) =>
    pool.withConnection(
      async (db) => {
        const connection = connectionOf(pool, label);
        other();
        await mine;
        t.is(pool.current, db);
        t.is(await pool.connection(), db);
        t.is(connectionOf(pool, label), connection);
        return connection;
      },
      { label },
    );
  const [one, two] = await Promise.all([
    request('one', second.passed, first.open),
    request('two', first.passed, second.open),
  ]);
  t.not(one, two);
});

test('withScope holds no connection until one is asked for, and gives it back at its end', async (t) => {
  const pool = open(t);
  await pool.withScope(async () => {
    t.is(pool.current, undefined);
    t.is(pool.stats().size, 0);
    const db = await pool.connection();
    t.is(pool.current, db);
    await pool.withConnection((same) => t.is(same, db));
    t.is(pool.stats().leased, 1);
  });
  t.like(pool.stats(), { leased: 0, idle: 1 });
});

test('in an unbound scope a call takes a connection for its own duration and leaves the scope unbound', async (t) => {
  const pool = open(t);
  await pool.withScope(async () => {
    await pool.withConnection((db) => t.is(pool.current, db));
    t.is(pool.current, undefined);
    t.is(await pool.get('SELECT 1').then(() => pool.stats().leased), 0);
    t.is(pool.current, undefined);
    t.throws(() => pool.db.exec('SELECT 1'), { code: 'ERR_LEASEHOLD_NO_CONNECTION' });
  });
});

test('a nested withScope runs in the scope that is there, unless it is to be fresh', async (t) => {
  const pool = open(t);
  await pool.withConnection(async (db) => {
    await pool.withScope(() => t.is(pool.current, db));
    await pool.withScope(() => t.is(pool.current, undefined), { fresh: true });
  });
});

test('parallel calls of connection() in one scope share one lease', async (t) => {
  const pool = open(t);
  await pool.withScope(async () => {
    const [a, b, c] = await Promise.all([pool.connection(), pool.connection(), pool.connection()]);
    t.is(a, b);
    t.is(b, c);
    t.is(pool.stats().counters.acquired, 1);
  });
});

test('connection() is refused outside every scope', async (t) => {
  const pool = open(t);
  await t.throwsAsync(() => pool.connection(), { code: 'ERR_LEASEHOLD_NO_SCOPE', message: /withScope/ });
  t.is(pool.current, undefined);
});

test('acquire() binds nothing: its caller holds the handle, the scope does not', async (t) => {
  const pool = open(t);
  await pool.withScope(async () => {
    await using db = await pool.acquire();
    t.is(pool.current, undefined);
    t.is(db.prepare('SELECT 1').pluck().get(), 1);
    t.is(pool.stats().leased, 1);
  });
  t.is(pool.stats().leased, 0);
});

test('await using gives an acquired connection back when its block throws', async (t) => {
  const pool = open(t);
  await t.throwsAsync(
    async () => {
      await using db = await pool.acquire();
      db.exec('BEGIN');
      throw new Error('inside');
    },
    { message: 'inside' },
  );
  t.like(pool.stats(), { leased: 0, idle: 1 });
  t.is(pool.stats().counters.dirty, 1);
});

test('an explicit lease taken in a scope outlives the scope', async (t) => {
  const pool = open(t);
  const db = await pool.withScope(() => pool.acquire());
  t.is(db.prepare('SELECT 1').pluck().get(), 1);
  db.close();
  t.is(pool.stats().leased, 0);
});

test('scopes of two pools nest without knowing of each other', async (t) => {
  const [a, b] = [open(t), open(t)];
  await a.withConnection(async (inA) => {
    t.is(b.current, undefined);
    await b.withConnection(async (inB) => {
      t.is(a.current, inA);
      t.is(b.current, inB);
      await a.withConnection((again) => t.is(again, inA));
      await a.withConnection(
        async (fresh) => {
          t.is(a.current, fresh);
          t.is(b.current, inB);
        },
        { fresh: true },
      );
    });
    t.is(b.current, undefined);
  });
  t.throws(() => b.db.exec('SELECT 1'), { code: 'ERR_LEASEHOLD_NO_CONNECTION' });
});

test('work that outlives its scope is told so by pool.db, connection() and old handles', async (t) => {
  const pool = open(t);
  const ended = gate();
  const { late } = await pool.withConnection((db) => {
    const statement = db.prepare('SELECT 1');
    const ambient = pool.db.prepare('SELECT 1');
    return {
      late: (async () => {
        await ended.passed;
        t.throws(() => pool.db.exec('SELECT 1'), { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
        t.throws(() => ambient.get(), { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
        t.throws(() => db.prepare('SELECT 1'), { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
        t.throws(() => statement.get(), { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
        await t.throwsAsync(() => pool.connection(), { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
        t.is(pool.current, undefined);
      })(),
    };
  });
  ended.open();
  await late;
});

test('withConnection in work that outlived its scope starts a scope of its own', async (t) => {
  const pool = open(t);
  const ended = gate();
  const { late } = await pool.withConnection((old) => ({
    late: ended.passed.then(() =>
      pool.withConnection(async (db) => {
        t.not(db, old);
        t.is(pool.current, db);
        t.is(pool.db.prepare('SELECT 3').pluck().get(), 3);
      }),
    ),
  }));
  ended.open();
  await late;
  t.is(pool.stats().leased, 0);
});

test('the end of a scope cancels what still waits in it', async (t) => {
  const pool = open(t, { max: 1 });
  const { forgotten } = await pool.withConnection(async () => ({
    forgotten: pool.acquire().catch((error: unknown) => error),
  }));
  t.like(await forgotten, { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
  t.like(pool.stats(), { waiting: 0, leased: 0, idle: 1 });
  t.is(pool.stats().counters.aborted, 1);
});

test('a connection bound too late, after its scope has ended, goes straight back', async (t) => {
  const pool = open(t, { max: 1 });
  const holder = await pool.acquire();
  const { binding } = await pool.withScope(async () => ({
    binding: pool.connection().catch((error: unknown) => error),
  }));
  holder.close();
  t.like(await binding, { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
  t.like(pool.stats(), { leased: 0, idle: 1 });
});

test('a transaction left open at the end of a scope is rolled back and reported with its label', async (t) => {
  const pool = open(t, { max: 1 });
  await pool.run('CREATE TABLE note (text)');
  const reports: unknown[] = [];
  pool.on('dirty', ({ label, traces }) => reports.push({ label, traces }));
  await pool.withConnection(
    (db) => {
      db.exec("BEGIN; INSERT INTO note VALUES ('half')");
    },
    { label: 'import' },
  );
  t.deepEqual(reports, [{ label: 'import', traces: ['open transaction'] }]);
  t.deepEqual(await pool.all('SELECT * FROM note'), []);
  t.is(pool.stats().counters.discarded, 0);
});

test('closing the handle of a scope gives its connection back early', async (t) => {
  const pool = open(t, { max: 1 });
  await pool.withConnection(async (db) => {
    db.close();
    t.is(pool.stats().leased, 0);
    t.is(pool.current, undefined);
    t.throws(() => pool.db.exec('SELECT 1'), { code: 'ERR_LEASEHOLD_RELEASED' });
    t.is(await pool.get('SELECT 1').then(() => pool.stats().leased), 0);
    const again = await pool.connection();
    t.is(pool.current, again);
  });
  t.is(pool.stats().leased, 0);
  t.is(pool.stats().counters.doubleReleases, 0);
});

test('an aborted signal refuses the call, rejects the wait, and makes the statements of the scope throw', async (t) => {
  const pool = open(t, { max: 1 });
  const reason = new Error('client went away');
  await t.throwsAsync(() => pool.withConnection(() => t.fail(), { signal: AbortSignal.abort(reason) }), {
    name: 'AbortError',
    code: 'ABORT_ERR',
  });

  const holder = await pool.acquire();
  const waiting = new AbortController();
  const wait = t.throwsAsync(() => pool.withConnection(() => t.fail(), { signal: waiting.signal }), {
    name: 'AbortError',
  });
  waiting.abort(reason);
  t.is((await wait)?.cause, reason);
  holder.close();

  const running = new AbortController();
  const thrown = await t.throwsAsync(
    () =>
      pool.withConnection(
        async (db) => {
          db.exec('BEGIN');
          running.abort(reason);
          pool.db.exec('SELECT 1');
        },
        { signal: running.signal },
      ),
    { name: 'AbortError', code: 'ABORT_ERR' },
  );
  t.is(thrown?.cause, reason);
  await pool.withConnection((db) => t.false(db.inTransaction));
  t.like(pool.stats(), { leased: 0, idle: 1 });
});

test('the signal of a scope reaches every connection taken in it', async (t) => {
  const pool = open(t);
  const controller = new AbortController();
  const { signal } = controller;
  await pool.withScope(
    async () => {
      const explicit = await pool.acquire({ signal: new AbortController().signal });
      const bound = await pool.connection();
      controller.abort();
      t.throws(() => bound.exec('SELECT 1'), { name: 'AbortError' });
      t.throws(() => explicit.exec('SELECT 1'), { name: 'AbortError' });
      await t.throwsAsync(() => pool.acquire(), { name: 'AbortError' });
      explicit.close();
    },
    { signal },
  );
  t.is(pool.stats().leased, 0);
});

test('a connection granted in the very step in which its signal is aborted goes back unused', async (t) => {
  const pool = open(t, { max: 1 });
  const holder = await pool.acquire();
  const controller = new AbortController();
  const wait = t.throwsAsync(() => pool.withConnection(() => t.fail(), { signal: controller.signal }), {
    name: 'AbortError',
  });
  holder.close();
  controller.abort();
  await wait;
  t.like(pool.stats(), { leased: 0, idle: 1 });
});

test('fn and what follows an acquire run in the context of their caller, not in that of the releaser', async (t) => {
  const pool = open(t, { max: 1 });
  const context = new AsyncLocalStorage<string>();
  const holder = await context.run('releaser', () => pool.acquire());
  const seen = context.run('waiter', async () => {
    const inFn = await pool.withConnection(() => context.getStore());
    return [inFn, context.getStore()];
  });
  context.run('releaser', () => holder.close());
  t.deepEqual(await seen, ['waiter', 'waiter']);
});

test('withConnection leaves the context of its caller as it was, at every step', async (t) => {
  const pool = open(t, { max: 2 });
  const other = new AsyncLocalStorage<string>();
  await (await pool.acquire())[Symbol.asyncDispose]();
  const bystander = other.run('bystander', async () => {
    for (let step = 0; step < 50; step++) {
      await Promise.resolve();
      t.is(pool.current, undefined);
      t.is(other.getStore(), 'bystander');
    }
  });
  const inside = gate();
  const running = other.run('caller', async () => {
    const call = pool.withConnection(async (db) => {
      t.is(pool.current, db);
      t.is(other.getStore(), 'caller');
      await inside.passed;
      t.is(pool.current, db);
    });
    t.is(pool.current, undefined);
    for (let step = 0; step < 10; step++) {
      await Promise.resolve();
      t.is(pool.current, undefined);
    }
    setImmediate(() => t.is(pool.current, undefined));
    process.nextTick(() => t.is(pool.current, undefined));
    queueMicrotask(() => t.is(pool.current, undefined));
    await settled();
    inside.open();
    await call;
    t.is(pool.current, undefined);
    t.is(other.getStore(), 'caller');
  });
  await Promise.all([bystander, running]);
  t.is(pool.current, undefined);
});

test('listeners and hooks run in the context of their registrant', async (t) => {
  const context = new AsyncLocalStorage<string>();
  const seen: (string | undefined)[] = [];
  const note = () => {
    seen.push(context.getStore());
  };
  const pool = context.run('maker', () => open(t, { onOpen: note, onAcquire: note, onRelease: note }));
  context.run('listener', () => pool.on('release', note));
  await context.run('caller', () => pool.withConnection(() => undefined));
  t.deepEqual(seen, ['maker', 'maker', 'listener', 'maker']);
});

test('a scope whose every lease waits for itself is reported as a deadlock at once', async (t) => {
  const pool = open(t, { max: 1, acquireTimeout: 500 });
  const reports: unknown[] = [];
  pool.on('deadlock', ({ label, holders }) => reports.push([label, holders.length]));
  const error = await t.throwsAsync(() =>
    pool.withConnection(() => pool.withConnection(() => undefined, { fresh: true, label: 'inner' })),
  );
  t.like(error, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT', suspectedDeadlock: true });
  t.regex(error?.message ?? '', /Suspected deadlock/);
  t.deepEqual(reports, [['inner', 1]]);
  t.is(pool.stats().counters.deadlocks, 1);
});

test("onDeadlock: 'reject' fails the waiter that completed the ring, and the others go on", async (t) => {
  const pool = open(t, { max: 2, onDeadlock: 'reject' });
  const bothHold = gate();
  let holding = 0;
  const request = () =>
    pool.withConnection(async () => {
      if (++holding === 2) bothHold.open();
      await bothHold.passed;
      return pool.withConnection(() => 'served', { fresh: true });
    });
  const outcomes = await Promise.allSettled([request(), request()]);
  t.deepEqual(
    outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : outcome.reason.code)),
    ['served', 'ERR_LEASEHOLD_DEADLOCK'],
  );
  t.is(pool.stats().leased, 0);
});

test('no deadlock is suspected while one holder is free to give its connection back', async (t) => {
  const pool = open(t, { max: 2 });
  const free = await pool.acquire();
  const request = pool.withConnection(() => pool.withConnection(() => 'served', { fresh: true }));
  await settled();
  t.is(pool.stats().counters.deadlocks, 0);
  free.close();
  t.is(await request, 'served');
});

test('work that begins one scope in another, over and over, keeps none of the old ones alive', async (t) => {
  const pool = open(t, { max: 4 });
  const other = open(t, { max: 4 });
  const done = gate<boolean | PromiseLike<boolean>>();
  let steps = 0;
  let first: WeakRef<AbortSignal> | undefined;
  // Each step starts the next from within its own scope, so the next inherits its async context.
  const step = async (): Promise<void> => {
    const { signal } = new AbortController();
    first ??= new WeakRef(signal);
    await other.withConnection(
      () =>
        pool.withConnection(
          () => {
            // Asked within the last step, whose async context descends from all the others.
            if (++steps === 100) done.open(collected(() => first?.deref() === undefined));
            else setImmediate(() => void step());
          },
          { signal },
        ),
      { signal },
    );
  };
  await step();
  t.true(await done.passed);
});

test('fn must be a function, and options must be known', async (t) => {
  const pool = open(t);
  // @ts-expect-error wrong on purpose
  await t.throwsAsync(() => pool.withConnection(42), { code: 'ERR_LEASEHOLD_OPTIONS', message: /"fn" is 42/ });
  // @ts-expect-error wrong on purpose
  await t.throwsAsync(() => pool.withScope(), { code: 'ERR_LEASEHOLD_OPTIONS' });
  // @ts-expect-error wrong on purpose
  await t.throwsAsync(() => pool.withConnection(() => 1, { lable: 'x' }), {
    code: 'ERR_LEASEHOLD_OPTIONS',
    message: /Did you mean "label"/,
  });
});
