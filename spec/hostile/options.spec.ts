import test, { type ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import { AcquireTimeoutError, type OptionsError, type SqlitePool, WriteTimeoutError } from '../../lib/index.ts';
import { loosely, temporaryPool, wrong } from '../support/sqlite.ts';
import { anyOptions, anyValue, fitting, isAllowed, type Oracle, oracles, refusalOf } from './values.ts';

const { above0, among, finite, flag, fn, from0, signal, text, whole } = oracles;

/** What a call may be given, how that is to be checked, and the call. */
interface Surface {
  readonly options: Readonly<Record<string, readonly [oracle: Oracle, good: readonly unknown[]]>>;
  /** A promise it returns is awaited. Nothing of it may be left when that has settled. */
  call(pool: SqlitePool, options: unknown): unknown;
}

const oneCall = {
  label: [text, ['', 'GET /a']],
  signal: [signal, fitting.signal],
  timeout: [above0, [50, 5000, Infinity]],
  priority: [finite, [0, -0, -5, 1.5, Number.MAX_VALUE]],
} as const;
const nested = {
  ...oneCall,
  nesting: [among('savepoint', 'join', 'separate'), ['savepoint', 'join', 'separate']],
} as const;
const write = { write: [flag, fitting.flag] } as const;
const modes = ['immediate', 'deferred', 'exclusive'] as const;

const surfaces: Readonly<Record<string, Surface>> = {
  acquire: {
    options: { ...oneCall, ...write },
    call: async (pool, options) => (await pool.acquire(wrong(options))).close(),
  },
  tryAcquire: {
    options: { label: oneCall.label, signal: oneCall.signal, ...write },
    call: (pool, options) => pool.tryAcquire(wrong(options))?.close(),
  },
  withConnection: {
    options: { ...oneCall, ...write, fresh: [flag, fitting.flag] },
    call: (pool, options) => pool.withConnection(() => {}, wrong(options)),
  },
  connection: {
    options: { ...oneCall, ...write },
    call: (pool, options) => pool.withScope(() => pool.connection(wrong(options))),
  },
  withScope: {
    options: { label: oneCall.label, signal: oneCall.signal },
    call: (pool, options) => pool.withScope(() => {}, wrong(options)),
  },
  openScope: {
    options: {
      label: [(value) => text(value) || fn(value), ['a', () => 'b']],
      signal: [(value) => signal(value) || fn(value), [...fitting.signal, () => fitting.signal[0]]],
    },
    call: (pool, options) => pool.openScope(wrong(options)).end(),
  },
  transaction: {
    options: { ...nested, mode: [among(...modes), modes], retries: [whole(0), [0, 3]] },
    call: (pool, options) => pool.transaction(() => {}, wrong(options)),
  },
  read: { options: nested, call: (pool, options) => pool.read(() => {}, wrong(options)) },
  openTransaction: {
    options: { ...nested, mode: [among(...modes, 'read'), [...modes, 'read']] },
    call: async (pool, options) => {
      const open = pool.openTransaction(wrong(options));
      await open.begun;
      await open.rollback();
    },
  },
  get: { options: oneCall, call: (pool, options) => pool.get('SELECT ?', [1], wrong(options)) },
  all: { options: oneCall, call: (pool, options) => pool.all('SELECT ?', [1], wrong(options)) },
  run: { options: oneCall, call: (pool, options) => pool.run('UPDATE t SET a = ?', [1], wrong(options)) },
  withStatement: {
    options: oneCall,
    call: (pool, options) => pool.withStatement('SELECT 1', () => {}, wrong(options)),
  },
  checkpoint: { options: oneCall, call: (pool, options) => pool.checkpoint('passive', wrong(options)) },
  stats: { options: { by: [among('label'), ['label']] }, call: (pool, options) => pool.stats(wrong(options)) },
  resize: {
    // What is above `max` is refused for that.
    options: { max: [whole(1), [3, 4]], min: [whole(0), [0, 1, 2]] },
    call: (pool, options) => {
      pool.resize({ max: 4, min: 0 });
      pool.resize(wrong(options));
    },
  },
};

/** The options of a surface, and values for each that fit. */
function goodOf({ options }: Surface): Record<string, readonly unknown[]> {
  return Object.fromEntries(Object.entries(options).map(([name, [, good]]) => [name, good]));
}

function oracleOf({ options }: Surface): Record<string, Oracle> {
  return Object.fromEntries(Object.entries(options).map(([name, [oracle]]) => [name, oracle]));
}

for (const [name, surface] of Object.entries(surfaces)) {
  test(`${name} takes its options as they are meant, or says which of them it does not, and nothing is left of it`, async (t) => {
    const pool = temporaryPool(t, { max: 4 });
    await pool.run('CREATE TABLE t (a)');
    const oracle = oracleOf(surface);
    const outcomes = { taken: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(anyOptions(goodOf(surface)), async (options) => {
        const refusal = await outcomeOf(t, () => surface.call(pool, options));
        outcomes[refusal === undefined ? 'taken' : 'refused']++;
        if (refusal === undefined) {
          t.true(Object.keys(options).every((option) => isAllowed(oracle, option, readOf(options, option))));
          return;
        }
        const { option } = refusal;
        // What fits by itself may be more than `max`.
        if (name === 'resize' && option === 'min' && isAllowed(oracle, 'min', readOf(options, 'min'))) {
          t.true(Number(readOf(options, 'min')) > Number(readOf(options, 'max') ?? 4));
        } else t.false(isAllowed(oracle, option, readOf(options, option)), option);
      }),
      { numRuns: 150 },
    );
    pool.assertIdle();
    t.like(pool.stats(), { laneHeld: 0, laneWaiting: 0 });
    t.true(outcomes.taken > 15 && outcomes.refused > 15, JSON.stringify(outcomes));
  });
}

const noObject = anyValue.filter((value) => typeof value !== 'object' || value === null || Array.isArray(value));

// They look for `write` in it first.
const looksFirst = new Set(['acquire', 'tryAcquire', 'withConnection', 'connection']);

for (const [name, surface] of Object.entries(surfaces)) {
  const verify = looksFirst.has(name) ? test : test;
  verify(`${name} refuses options that are no object, whatever they are`, async (t) => {
    const pool = temporaryPool(t, { max: 4 });
    await pool.run('CREATE TABLE t (a)');
    await fc.assert(
      fc.asyncProperty(noObject, async (options) => {
        const refusal = await outcomeOf(t, () => surface.call(pool, options));
        t.like(refusal, { option: 'options', allowed: 'an object' });
      }),
      { numRuns: 60 },
    );
    pool.assertIdle();
  });
}

for (const [method, args] of [
  ['acquire', []],
  ['withConnection', [() => {}]],
  ['withScope', [() => {}]],
  ['connection', []],
  ['transaction', [() => {}]],
  ['read', [() => {}]],
  ['get', ['SELECT 1', []]],
  ['all', ['SELECT 1', []]],
  ['run', ['SELECT 1', []]],
  ['withStatement', ['SELECT 1', () => {}]],
  ['checkpoint', ['passive']],
  ['close', []],
] as const) {
  const verify = looksFirst.has(method) ? test : test;
  for (const [what, options, check] of [
    ['an unknown option', { [method]: 1 }, test],
    ['a wrong one beside `write`', { write: 1, timeout: 0 }, test],
    ['null', null, verify],
  ] as const) {
    check(`${method} says by its promise, never before, that it does not take ${what}`, async (t) => {
      const pool = temporaryPool(t);
      const result = loosely(pool, method, [...args, options]);
      t.true(result instanceof Promise);
      await t.throwsAsync(result as Promise<unknown>, { code: 'ERR_LEASEHOLD_OPTIONS' });
      t.false(pool.closed);
      t.is(pool.stats().size, 0, 'before anything is opened');
    });
  }
}

const methodNames = fc.constantFrom('withConnection', 'withScope', 'transaction', 'read');

test('a function that is none is refused by every call that takes one, before anything is opened', async (t) => {
  const pool = temporaryPool(t);
  const noFunction = anyValue.filter((value) => typeof value !== 'function');
  await fc.assert(
    fc.asyncProperty(methodNames, noFunction, async (method, value) => {
      const refusal = await outcomeOf(t, () => loosely(pool, method, [value]));
      t.like(refusal, { option: 'fn', allowed: 'a function' });
    }),
    { numRuns: 100 },
  );
  t.is(pool.stats().size, 0);
});

test('arguments that are no options are held to what they are, too', async (t) => {
  const pool = temporaryPool(t);
  const isEvent = among(
    'open',
    'close',
    'wait',
    'acquire',
    'release',
    'discard',
    'dirty',
    'leak',
    'timeout',
    'deadlock',
    'error',
  );
  const isMode = among('passive', 'full', 'restart', 'truncate');
  const calls: Record<string, readonly [isGood: Oracle, call: (value: unknown) => unknown]> = {
    age: [from0, (age) => pool.closeOverdue(wrong(age))],
    event: [isEvent, (event) => pool.on(wrong(event), () => {})],
    listener: [fn, (listener) => pool.once('open', wrong(listener)).off('open', wrong(listener))],
    mode: [isMode, (mode) => pool.checkpoint(wrong(mode))],
  };
  const names = fc.constantFrom(...Object.keys(calls));
  await fc.assert(
    fc.asyncProperty(names, fc.oneof(anyValue, fc.constantFrom('open', 'full', 5)), async (name, value) => {
      const [isGood, call] = calls[name] ?? t.fail();
      const refusal = await outcomeOf(t, () => call(value));
      t.is(refusal === undefined, isGood(value));
      if (refusal !== undefined) t.is(refusal.option, name);
    }),
    { numRuns: 200 },
  );
  pool.assertIdle();
});

/** The refusal of a call's options, `undefined` where they were taken. No call fails otherwise. */
async function outcomeOf(t: ExecutionContext, call: () => unknown): Promise<OptionsError | undefined> {
  try {
    await call();
    return undefined;
  } catch (error) {
    // A timeout that is taken as it is meant may be over before anything is had.
    if (error instanceof AcquireTimeoutError || error instanceof WriteTimeoutError) return undefined;
    return refusalOf(t, error);
  }
}

function readOf(options: object, name: string): unknown {
  return Object.getOwnPropertyDescriptor(options, name)?.value;
}
