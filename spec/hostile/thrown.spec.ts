import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { runInNewContext } from 'node:vm';
import test, { type ExecutionContext } from 'ava';
import { AbortError, type SqlitePool } from '../../lib/index.ts';
import { temporaryFile } from '../support/files.ts';
import { libraryUrl, temporaryPool, wrong } from '../support/sqlite.ts';
import { isReadable } from './values.ts';

/** What code may throw, as the text of an expression: some of it has to be tried in a process of its own. */
const shown = {
  undefined: 'undefined',
  null: 'null',
  'a symbol': "Symbol('x')",
  'an object without a prototype': 'Object.create(null)',
  'what can be awaited and then throws': '({ then() { throw 5; } })',
  'a text with escapes': "'a\\u001b[2J\\n  #2  admin\\u202e'",
  'a megabyte of text': "'x'.repeat(1e6)",
  'an error with a megabyte of text': "new Error('x\\n'.repeat(5e5))",
  'an error with escapes': "Object.assign(new Error('\\u001b[2J\\r\\n  #2  admin'), { code: '\\u0007\\n' })",
  'an error whose name is a symbol': "Object.assign(new Error('x'), { name: Symbol('x') })",
  'a frozen error': "Object.freeze(new Error('x'))",
  'an error of another realm': 'vm.runInNewContext(\'new Error("x")\')',
} as const;

/** What can not be looked at, or says something else than such things do. */
const unlookable = {
  'a number of thousands of digits': '10n ** 10_000n',
  'an error whose message is a number': "Object.assign(new Error('x'), { message: 5 })",
  'an error whose message is the body of an answer': "Object.assign(new Error('x'), { message: { reason: 'x' } })",
  'an error whose message can not be read':
    "Object.defineProperty(new Error('x'), 'message', { get() { throw new Error('trap'); } })",
  'an error whose code is none': "Object.assign(new Error('x'), { code: { toString() { throw new Error('trap'); } } })",
  'an error whose code can not be read':
    "Object.defineProperty(new Error('x'), 'code', { get() { throw new Error('trap'); } })",
  'an object that does not tell its prototype': "new Proxy({}, { getPrototypeOf() { throw new Error('trap'); } })",
  'a revoked proxy': '(({ proxy, revoke }) => (revoke(), proxy))(Proxy.revocable({}, {}))',
} as const;

/** What came of a hook that always throws. */
interface Told {
  readonly code: string | undefined;
  readonly message: string | undefined;
  readonly isCause: boolean;
  readonly waiting: number;
  readonly leased: number;
  readonly size: number;
  readonly closed: boolean;
}

// In a process of its own, because a rejection that nobody handles ends that. Only a pool that does not close is waited for.
const program = `
  import vm from 'node:vm';
  import { createPool } from ${JSON.stringify(libraryUrl)};
  const [file, expression] = process.argv.slice(1);
  const thrown = new Function('vm', 'return ' + expression)(vm);
  const tell = async (hook, acquireTimeout) => {
    const pool = createPool(file, { acquireTimeout, [hook]() { throw thrown; } });
    pool.on('error', () => {});
    let failure = {};
    try {
      (await pool.acquire()).close();
    } catch (error) {
      failure = error;
    }
    const { code, message, cause } = failure;
    const { waiting, leased } = pool.stats();
    const late = Promise.withResolvers();
    const timer = setTimeout(late.resolve, 3000, false);
    const closed = await Promise.race([pool.close().then(() => true), late.promise]);
    clearTimeout(timer);
    const { size } = pool.stats();
    return { code, message, isCause: Object.is(cause, thrown), waiting, leased, size, closed };
  };
  process.send([await tell('onOpen'), await tell('onAcquire', 1000), await tell('onRelease')]);`;

/** What came of each hook. */
async function toldOf(t: ExecutionContext, expression: string): Promise<readonly [Told, Told, Told]> {
  const args = ['--input-type=module', '-e', program, temporaryFile(t), expression];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  if (child.stderr === null) throw new Error('It has no stderr');
  t.teardown(() => void child.kill());
  const said: unknown[] = [];
  child.on('message', (message) => void said.push(message));
  const errors = text(child.stderr);
  await once(child, 'close');
  if (said.length === 0 || child.exitCode !== 0) throw new Error(await errors);
  return said[0] as readonly [Told, Told, Told];
}

const idle = { waiting: 0, leased: 0, size: 0, closed: true };

for (const [verify, group] of [
  [test, shown],
  [test, unlookable],
] as const) {
  for (const [what, expression] of Object.entries(group)) {
    verify(`a hook may throw ${what}: who asked is told of it, and nothing is left`, async (t) => {
      const [opened, acquired, released] = await toldOf(t, expression);
      t.like(opened, { code: 'ERR_LEASEHOLD_OPEN', isCause: true, ...idle });
      isReadable(t, opened.message ?? t.fail());
      // What is no value is no cause.
      const isCause = !['undefined', 'null'].includes(expression);
      t.like(acquired, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT', ...(isCause && { isCause }), ...idle });
      isReadable(t, acquired.message ?? t.fail(), 3);
      t.like(released, { ...idle, code: undefined });
    });
  }
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function withTrap(name: string): Error {
  return Object.defineProperty(new Error('x'), name, {
    get() {
      throw new Error('trap');
    },
  });
}

const thrown: Readonly<Record<string, unknown>> = {
  undefined: undefined,
  'a symbol': Symbol('x'),
  'a frozen error': Object.freeze(new Error('x')),
  'an error of another realm': runInNewContext('new Error("x")'),
  'an object without a prototype': Object.create(null),
  'an error whose message is a number': Object.assign(new Error('x'), { message: 5 }),
  'an error whose message can not be read': withTrap('message'),
  'an error whose code can not be read': withTrap('code'),
  'a revoked proxy': revoked(),
};

const nothing = { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 };

/** What a call throws, which need be no error. */
async function failureOf(call: () => unknown): Promise<{ readonly error: unknown } | undefined> {
  try {
    await call();
    return undefined;
  } catch (error) {
    return { error };
  }
}

/** Where a function of the caller's may throw, and what that throws is to come out. */
const calls: Readonly<Record<string, (pool: SqlitePool, raise: () => never) => unknown>> = {
  withConnection: (pool, raise) => pool.withConnection(raise),
  withScope: (pool, raise) => pool.withScope(raise),
  read: (pool, raise) => pool.read(async () => raise()),
  transaction: (pool, raise) => pool.transaction(async () => raise()),
  'a transaction in another': (pool, raise) => pool.transaction(() => pool.transaction(async () => raise())),
  'a transaction that may be tried again': (pool, raise) => pool.transaction(async () => raise(), { retries: 1 }),
  withStatement: (pool, raise) => pool.withStatement('SELECT 1', raise),
  'a function of SQL': (pool, raise) =>
    pool.withConnection((db) => db.function('boom', raise).prepare('SELECT boom()').get()),
  'a signal that is made when it is needed': (pool, raise) =>
    pool.openScope({ signal: raise }).run(() => pool.connection()),
};

const isAskedFor = /withStatement|tried again/;
const isUnlookable = /code|proxy/;

for (const [name, call] of Object.entries(calls)) {
  test(`whatever ${name} is thrown comes out unchanged, and nothing is left`, async (t) => {
    for (const [what, value] of Object.entries(thrown)) {
      // These are asked for their code, to see whether it is worth while.
      if (isAskedFor.test(name) && isUnlookable.test(what)) continue;
      const pool = temporaryPool(t, { acquireTimeout: 1000 });
      const failure = await failureOf(() =>
        call(pool, () => {
          throw value;
        }),
      );
      t.true(failure !== undefined && Object.is(failure.error, value), what);
      await pool.close({ timeout: 0 });
      t.like(pool.stats(), nothing, what);
    }
  });
}

for (const [name, call] of Object.entries(calls).filter(([each]) => isAskedFor.test(each))) {
  for (const [what, value] of Object.entries(thrown).filter(([each]) => isUnlookable.test(each))) {
    test(`${what} comes unchanged out of ${name}`, async (t) => {
      const failure = await failureOf(() =>
        call(temporaryPool(t), () => {
          throw value;
        }),
      );
      t.true(Object.is(failure?.error, value));
    });
  }
}

for (const [what, reason] of Object.entries(thrown)) {
  const verify = what === 'a revoked proxy' ? test : test;
  verify(`an open transaction is rolled back for ${what}, and lets go of its connection and of the lane`, async (t) => {
    const pool = temporaryPool(t);
    const open = pool.openTransaction();
    await open.begun;
    open.run(() => pool.db.exec('CREATE TABLE t (a)'));
    await t.notThrowsAsync(open.rollback(reason));
    t.like(pool.stats(), nothing);
  });
}

test('whatever a signal is aborted with is the cause of the error, and nothing is left', async (t) => {
  for (const [what, reason] of Object.entries(thrown)) {
    const pool = temporaryPool(t);
    const controller = new AbortController();
    const calling = pool.transaction(
      (tx) => {
        controller.abort(reason);
        tx.exec('SELECT 1');
      },
      { signal: controller.signal },
    );
    const error = await t.throwsAsync(calling, { instanceOf: AbortError }, what);
    // The platform puts an error in the place of `undefined`.
    if (reason !== undefined) t.true(Object.is(error?.cause, reason), what);
    await t.throwsAsync(pool.acquire({ signal: controller.signal }), { name: 'AbortError', code: 'ABORT_ERR' }, what);
    t.like(pool.stats(), nothing, what);
  }
});

test('whatever a listener throws or rejects with harms nobody', async (t) => {
  for (const value of Object.values(thrown)) {
    const pool = temporaryPool(t);
    const told: unknown[] = [];
    pool.on('acquire', () => {
      throw value;
    });
    pool.on('release', () => Promise.reject(value) as never);
    if (value !== thrown['a revoked proxy']) pool.on('error', (error) => told.push(error));
    t.is(await pool.withConnection(() => 5), 5);
    await pool.close();
    t.like(pool.stats(), nothing);
    t.true(told.every((error) => error instanceof Error));
  }
});

test('a label from a function is a text, or none, whatever the function comes to', async (t) => {
  const pool = temporaryPool(t, { leakThreshold: 5000 });
  for (const value of [
    ...Object.values(thrown),
    5,
    {},
    [],
    () => 'x',
    Promise.resolve('x'),
    Promise.reject(new Error('x')),
  ]) {
    for (const label of [
      () => wrong(value),
      () => {
        throw value;
      },
    ]) {
      const scope = pool.openScope({ label });
      await scope.run(async () => {
        await pool.connection();
        t.is(pool.leases()[0]?.label, undefined);
      });
      await scope.end();
    }
  }
  t.deepEqual(pool.stats({ by: 'label' }), []);
});

test('a function of a scope that gives no signal is refused by that name', async (t) => {
  const pool = temporaryPool(t);
  for (const value of [5, {}, 'x', new AbortController()]) {
    const scope = pool.openScope({ signal: () => wrong(value) });
    const failure = await failureOf(() => scope.run(() => pool.connection()));
    t.like(failure?.error, { code: 'ERR_LEASEHOLD_OPTIONS', option: 'signal' });
  }
});
