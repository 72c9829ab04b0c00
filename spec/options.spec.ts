import test, { type ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import { OptionsError } from '../lib/errors.ts';
import {
  checkAcquireOptions,
  checkCloseOptions,
  checkResize,
  checkScopeOptions,
  defaultMax,
  hookRules,
  type PoolOptions,
  poolRules,
  poolSettings,
} from '../lib/options.ts';
import { checkDuration, checkFunction, checkOptions, rules } from '../lib/rules.ts';
import { openItems } from './support/items.ts';

const defaults = { name: 'app', max: 8 };

/** The error of an option that is refused. */
function refusal(t: ExecutionContext, check: () => unknown): OptionsError {
  const error = t.throws(check, { instanceOf: OptionsError, code: 'ERR_LEASEHOLD_OPTIONS' });
  return error ?? t.fail();
}

interface Case {
  readonly allowed: string;
  readonly good: readonly unknown[];
  readonly bad: readonly unknown[];
}

const never = [null, '5', true, {}, [], Number.NaN, -Infinity, 5n] as const;
const duration: Case = {
  allowed: 'a number of milliseconds above 0, or Infinity',
  good: [Number.MIN_VALUE, 0.5, 1, 5000, 1e300, Infinity],
  bad: [...never, 0, -0, -1],
};
const count = (least: number): Case => ({
  allowed: `an integer from ${least}, or Infinity`,
  good: [least, least + 1, Number.MAX_SAFE_INTEGER, Infinity],
  bad: [...never, least - 1, least + 0.5, 2 ** 53],
});
const integer = (least: number): Case => ({
  allowed: `an integer from ${least}`,
  good: [least, least + 1, Number.MAX_SAFE_INTEGER],
  bad: [...never, least - 1, least + 0.5, 2 ** 53, Infinity],
});

const poolCases: Record<keyof PoolOptions, Case> = {
  name: { allowed: 'a string that is not empty', good: ['a', ' ', 'größe'], bad: ['', 5, null, {}, true] },
  max: integer(1),
  min: integer(0),
  acquireTimeout: duration,
  maxWaiting: count(0),
  idleTimeout: duration,
  maxLifetime: duration,
  maxUses: count(1),
  order: { allowed: "'lifo' or 'fifo'", good: ['lifo', 'fifo'], bad: ['LIFO', 'random', '', 1, null] },
  leakThreshold: duration,
  onDeadlock: { allowed: "'report' or 'reject'", good: ['report', 'reject'], bad: ['throw', '', true, null] },
};

for (const [option, { allowed, good, bad }] of Object.entries(poolCases)) {
  test(`the pool option ${option} is ${allowed}`, (t) => {
    for (const value of good) t.notThrows(() => checkOptions({ [option]: value }, poolRules), String(value));
    for (const value of bad) {
      const error = refusal(t, () => checkOptions({ [option]: value }, poolRules));
      t.is(error.option, option);
      t.is(error.value, value);
      t.is(error.allowed, allowed);
      t.true(error.message.startsWith(`Option "${option}" is `) && error.message.includes(`: expected ${allowed}.`));
    }
    t.notThrows(() => checkOptions({ [option]: undefined }, poolRules), 'undefined counts as absent');
  });
}

const callCases: Record<string, Case> = {
  label: { allowed: 'a string', good: ['', 'GET /report'], bad: [5, null, {}, Symbol('x')] },
  signal: {
    allowed: 'an AbortSignal',
    good: [new AbortController().signal, AbortSignal.abort()],
    bad: [null, {}, new AbortController(), true, { aborted: false }],
  },
  timeout: duration,
  priority: { allowed: 'a finite number', good: [0, -5, 1.5, 1e300], bad: [Infinity, Number.NaN, '1', null] },
};

for (const [option, { allowed, good, bad }] of Object.entries(callCases)) {
  test(`the call option ${option} is ${allowed}`, (t) => {
    for (const check of [checkAcquireOptions, checkScopeOptions]) {
      for (const value of good) {
        const given = { [option]: value };
        t.like(check(given), given);
      }
      for (const value of bad)
        t.like(
          refusal(t, () => check({ [option]: value })),
          { option, value, allowed },
        );
    }
  });
}

test('fresh is an option of scopes and of nothing else', (t) => {
  t.notThrows(() => checkScopeOptions({ fresh: true }));
  t.like(
    refusal(t, () => checkScopeOptions({ fresh: 1 as never })),
    { option: 'fresh', allowed: 'true or false' },
  );
  t.is(refusal(t, () => checkAcquireOptions({ fresh: true } as never)).option, 'fresh');
});

test('a close may wait for no time at all', (t) => {
  for (const timeout of [0, 1, Infinity]) t.deepEqual(checkCloseOptions({ timeout }), { timeout });
  const allowed = 'a number of milliseconds from 0, or Infinity';
  for (const timeout of [-1, Number.NaN, '1', null]) {
    t.like(
      refusal(t, () => checkCloseOptions({ timeout: timeout as never })),
      { option: 'timeout', allowed },
    );
  }
});

test('no options at all are frozen emptiness', (t) => {
  for (const check of [checkAcquireOptions, checkScopeOptions, checkCloseOptions]) {
    t.deepEqual(check(undefined), {});
    t.true(Object.isFrozen(check(undefined)));
  }
});

test('options that are no object are refused', (t) => {
  for (const value of [null, 5, 'x', true, [], () => {}]) {
    t.like(
      refusal(t, () => checkOptions(value as never, poolRules)),
      { option: 'options', value, allowed: 'an object' },
    );
  }
});

test('a hook is a function', (t) => {
  for (const hook of ['onOpen', 'onAcquire', 'onRelease']) {
    t.notThrows(() => checkOptions({ [hook]: () => {} }, hookRules));
    t.like(
      refusal(t, () => checkOptions({ [hook]: 'x' }, hookRules)),
      { option: hook, allowed: 'a function' },
    );
  }
});

test('an unknown option is refused even if its value is undefined, and what there is is listed', (t) => {
  const error = refusal(t, () => checkOptions({ speed: undefined }, poolRules));
  t.is(error.option, 'speed');
  t.is(error.allowed, `one of ${Object.keys(poolRules).join(', ')}`);
  t.true(error.message.endsWith('There is no such option.'));
  for (const key of ['constructor', 'toString', 'hasOwnProperty']) {
    t.is(refusal(t, () => checkOptions({ [key]: 1 }, poolRules)).option, key);
  }
  const inherited = Object.create({ maxx: 1 }) as object;
  t.is(refusal(t, () => checkOptions(inherited, poolRules)).option, 'maxx', 'an inherited one is looked at too');
});

test('a misspelt option is answered with the right spelling', (t) => {
  const near: Record<string, string> = {
    maxwaiting: 'maxWaiting',
    max_uses: 'maxUses',
    'idle-timeout': 'idleTimeout',
    MAX: 'max',
    acquireTimout: 'acquireTimeout',
    acquireTimeoutt: 'acquireTimeout',
    acquireTimeouz: 'acquireTimeout',
    acqiureTimeout: 'acquireTimeout',
    odrer: 'order',
    ame: 'name',
  };
  for (const [given, meant] of Object.entries(near)) {
    const { message } = refusal(t, () => checkOptions({ [given]: 1 }, poolRules));
    t.true(message.endsWith(`There is no such option. Did you mean "${meant}"?`), message);
  }
  for (const far of ['acquireTimeoutMillis', 'connections', 'acquierTimout', 'xrdey']) {
    t.false(refusal(t, () => checkOptions({ [far]: 1 }, poolRules)).message.includes('Did you mean'), far);
  }
});

test('one slip of the finger in any option is recognised', (t) => {
  const slips = fc.record({ name: fc.constantFrom(...Object.keys(poolRules)), at: fc.nat(), kind: fc.nat({ max: 3 }) });
  fc.assert(
    fc.property(slips, fc.constantFrom('q', 'x', 'Z'), ({ name, at: seed, kind }, letter) => {
      const at = seed % (name.length - 1);
      const rest = name.slice(at + 1);
      const slip = [
        name.slice(0, at) + letter + name.slice(at),
        name.slice(0, at) + rest,
        name.slice(0, at) + letter + rest,
        name.slice(0, at) + rest.charAt(0) + name.charAt(at) + rest.slice(1),
      ][kind] as string;
      fc.pre(!Object.hasOwn(poolRules, slip));
      t.true(refusal(t, () => checkOptions({ [slip]: 1 }, poolRules)).message.includes('Did you mean'), slip);
    }),
  );
});

test('a timeout of 0 is answered with tryAcquire', (t) => {
  const remedy = 'To get a connection only if one is free at once, call tryAcquire().';
  t.true(refusal(t, () => checkOptions({ acquireTimeout: 0 }, poolRules)).message.endsWith(remedy));
  t.true(refusal(t, () => checkAcquireOptions({ timeout: 0 })).message.endsWith(remedy));
  t.false(refusal(t, () => checkOptions({ idleTimeout: 0 }, poolRules)).message.includes('tryAcquire'));
});

test('settings are complete, frozen, and have the documented defaults', (t) => {
  const settings = poolSettings({}, defaults);
  t.deepEqual(settings, {
    name: 'app',
    max: 8,
    min: 0,
    acquireTimeout: 5000,
    maxWaiting: 1000,
    idleTimeout: 300_000,
    maxLifetime: Infinity,
    maxUses: Infinity,
    order: 'lifo',
    leakThreshold: Infinity,
    onDeadlock: 'report',
  });
  t.true(Object.isFrozen(settings));
  t.is(defaultMax, 8);
});

test('settings keep what was given, and later changes of the given do not show', (t) => {
  const given = {
    name: 'own',
    max: 3,
    min: 2,
    acquireTimeout: 1,
    maxWaiting: 0,
    idleTimeout: 2,
    maxLifetime: 3,
    maxUses: 4,
    order: 'fifo',
    leakThreshold: 5,
    onDeadlock: 'reject',
  } as const;
  const options = { ...given };
  const settings = poolSettings(options, defaults);
  Object.assign(options, { max: 99 });
  t.deepEqual(settings, given);
});

test('min is held to max', (t) => {
  t.like(
    refusal(t, () => poolSettings({ min: 9 }, defaults)),
    {
      option: 'min',
      value: 9,
      allowed: 'an integer from 0 to "max", which is 8',
    },
  );
  t.is(poolSettings({ min: 8 }, defaults).min, 8);
  t.is(refusal(t, () => poolSettings({ max: 2, min: 3 }, defaults)).option, 'min');
});

test('a resize changes what it names, and a smaller max takes min down with it', (t) => {
  const now = { max: 8, min: 4 };
  t.deepEqual(checkResize({}, now), now);
  t.deepEqual(checkResize({ max: 10 }, now), { max: 10, min: 4 });
  t.deepEqual(checkResize({ max: 2 }, now), { max: 2, min: 2 });
  t.deepEqual(checkResize({ min: 0 }, now), { max: 8, min: 0 });
  t.deepEqual(checkResize({ max: 5, min: 5 }, now), { max: 5, min: 5 });
  t.is(refusal(t, () => checkResize({ max: 2, min: 3 }, now)).option, 'min');
  t.is(refusal(t, () => checkResize({ min: 9 }, now)).option, 'min');
  t.is(refusal(t, () => checkResize({ max: 0 }, now)).option, 'max');
  t.is(refusal(t, () => checkResize({ name: 'x' } as never, now)).option, 'name');
  t.is(refusal(t, () => checkResize(5 as never, now)).option, 'options');
});

test('an argument is refused by its name', (t) => {
  t.notThrows(() => checkFunction(() => {}, 'fn'));
  t.like(
    refusal(t, () => checkFunction(5, 'fn')),
    { option: 'fn', value: 5, allowed: 'a function' },
  );
  for (const age of [0, 0.5, Infinity]) t.notThrows(() => checkDuration('age', age));
  for (const age of [-1, Number.NaN, '5', undefined]) t.is(refusal(t, () => checkDuration('age', age)).option, 'age');
});

test('an integer within bounds is what it says', (t) => {
  const rule = rules.integerBetween(0, 10);
  t.is(rule.allowed, 'an integer from 0 to 10');
  for (const value of [0, 10]) t.true(rule.accepts(value));
  for (const value of [-1, 11, 0.5, '5', null, Infinity]) t.false(rule.accepts(value));
});

test('what an options object throws when it is read passes through unchanged, and nothing is taken or run', async (t) => {
  const pool = await openItems(t);
  const { acquired } = pool.stats().counters;
  const failure = new TypeError('no such thing');
  const options = {
    get label(): string {
      throw failure;
    },
  };
  const calls = {
    run: () => pool.run("INSERT INTO item VALUES ('nut')", [], options),
    get: () => pool.get('SELECT 1', [], options),
    acquire: () => pool.acquire(options),
    withConnection: () => pool.withConnection(() => {}, options),
    transaction: () => pool.transaction(() => {}, options),
  };
  for (const [name, call] of Object.entries(calls)) t.is(await t.throwsAsync<Error>(call), failure, name);
  t.like(pool.stats(), { leased: 0, laneHeld: 0, counters: { acquired } });
  t.deepEqual(await pool.all('SELECT * FROM item'), []);
});
