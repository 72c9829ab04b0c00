import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import * as fc from 'fast-check';
import { createPool, OptionsError } from '../../lib/index.ts';
import { temporaryDirectory } from '../support/files.ts';
import { wrong } from '../support/sqlite.ts';
import {
  anyOptions,
  anyText,
  anyValue,
  fitting,
  isAllowed,
  isReadable,
  type Oracle,
  oracles,
  refusalOf,
} from './values.ts';

const { above0, among, flag, fn, textNotEmpty, whole, wholeOrInfinity } = oracles;

const pragmas: Oracle = (value) =>
  Object.prototype.toString.call(value) === '[object Object]' &&
  [Object.prototype, null].includes(Object.getPrototypeOf(value)) &&
  Object.entries(value as object).every(
    ([name, setting]) =>
      /^[a-z_]+$/.test(name) &&
      (setting == null || ['string', 'boolean'].includes(typeof setting) || Number.isFinite(setting)),
  );

const options: Readonly<Record<string, readonly [oracle: Oracle, good: readonly unknown[]]>> = {
  name: [textNotEmpty, ['orders', '\u001b[2J\n', '__proto__']],
  max: [whole(1), fitting.whole],
  min: [whole(0), [0, 1]],
  acquireTimeout: [above0, fitting.duration],
  maxWaiting: [wholeOrInfinity(0), [0, 5, Infinity]],
  idleTimeout: [above0, fitting.duration],
  maxLifetime: [above0, fitting.duration],
  maxUses: [wholeOrInfinity(1), [1, Infinity]],
  order: [among('lifo', 'fifo'), ['lifo', 'fifo']],
  leakThreshold: [above0, fitting.duration],
  onDeadlock: [among('report', 'reject'), ['report', 'reject']],
  pragmas: [pragmas, [{}, { cache_size: 5 }, { synchronous: null, foreign_keys: false }]],
  busyTimeout: [(value) => whole(0)(value) && Number(value) < 2 ** 31, [0, 5000, 2 ** 31 - 1]],
  readonly: [flag, fitting.flag],
  strictWrites: [flag, fitting.flag],
  statementCache: [whole(0), [0, 500]],
  onOpen: [fn, [() => {}]],
  onAcquire: [fn, [() => {}]],
  onRelease: [fn, [() => {}]],
  Database: [fn, [Database]],
};

const good = Object.fromEntries(Object.entries(options).map(([name, [, values]]) => [name, values]));
const oracle = Object.fromEntries(Object.entries(options).map(([name, [isGood]]) => [name, isGood]));

function readOf(given: object, name: string): unknown {
  return Object.getOwnPropertyDescriptor(given, name)?.value;
}

/** What `createPool` says of options; `undefined` where it takes them. */
function refusal(t: ExecutionContext, file: unknown, given: unknown): OptionsError | undefined {
  try {
    createPool(wrong(file), wrong(given));
    return undefined;
  } catch (error) {
    return refusalOf(t, error);
  }
}

test('createPool takes its options as they are meant, or says which of them it does not, and opens nothing', (t) => {
  const file = join(temporaryDirectory(t), 'app.db');
  const outcomes = { taken: 0, refused: 0 };
  fc.assert(
    fc.property(anyOptions(good), (given) => {
      const refused = refusal(t, file, given);
      outcomes[refused === undefined ? 'taken' : 'refused']++;
      if (refused !== undefined) {
        const { option } = refused;
        const { min, max = 8 } = { min: readOf(given, 'min'), max: readOf(given, 'max') };
        if (option === 'min' && isAllowed(oracle, 'min', min)) t.true(Number(min) > Number(max));
        else t.false(isAllowed(oracle, option, readOf(given, option)), option);
        return;
      }
      t.true(Object.keys(given).every((option) => isAllowed(oracle, option, readOf(given, option))));
      const pool = createPool(file, given);
      t.is<unknown, unknown>(pool.name, readOf(given, 'name') ?? 'app');
      t.like(pool.stats(), { max: readOf(given, 'max') ?? 8, min: readOf(given, 'min') ?? 0, size: 0 });
      t.is<unknown, unknown>(pool.db.readonly, readOf(given, 'readonly') ?? false);
    }),
    { numRuns: 400 },
  );
  t.false(existsSync(file));
  t.true(outcomes.taken > 40 && outcomes.refused > 40, JSON.stringify(outcomes));
});

test('options of createPool that are no object are refused, whatever they are', (t) => {
  const noObject = anyValue.filter((value) => typeof value !== 'object' || value === null || Array.isArray(value));
  fc.assert(
    fc.property(noObject, (given) => {
      const refused = refusal(t, 'app.db', given);
      t.like(refused, { option: 'options', allowed: 'an object' });
      t.is(refused?.value, given);
    }),
    { numRuns: 100 },
  );
});

test('any text but a URI and one with a NUL is a path, and nothing else is', (t) => {
  fc.assert(
    fc.property(fc.oneof(anyText, anyValue), (file) => {
      const isPath = typeof file === 'string' && !file.trim().startsWith('file:') && !file.trim().includes('\0');
      const refused = refusal(t, file, undefined);
      t.is(refused === undefined, isPath);
      if (refused !== undefined) t.is(refused.option, 'file');
    }),
    { numRuns: 300 },
  );
});

test('pragmas are names in lower case with plain values, whatever is said instead', (t) => {
  const settings = fc.dictionary(
    fc.oneof(fc.constantFrom('cache_size', 'synchronous', '__proto__'), anyText),
    anyValue,
  );
  fc.assert(
    fc.property(settings, (given) => {
      const refused = refusal(t, 'app.db', { pragmas: given });
      t.is(refused === undefined, pragmas(given));
      if (refused !== undefined) t.is(refused.option, 'pragmas');
    }),
    { numRuns: 200 },
  );
});

test('what is inherited from a prototype that somebody else has changed is looked at like any other option', (t) => {
  t.is(createPool('app.db', Object.create({ max: 3 }) as object).stats().max, 3);
  t.is(refusal(t, 'app.db', Object.create({ max: 0 }))?.option, 'max');
  t.is(refusal(t, 'app.db', Object.create({ polluted: 1 }))?.option, 'polluted');
  t.is(refusal(t, 'app.db', JSON.parse('{"__proto__": {"max": 3}}'))?.option, '__proto__');
});

test('what an option’s own getter throws is what createPool throws', (t) => {
  const own = new Error('of the caller');
  for (const given of [
    {
      get max() {
        throw own;
      },
    },
    new Proxy(
      {},
      {
        ownKeys() {
          throw own;
        },
      },
    ),
  ]) {
    t.is(
      t.throws(() => createPool('app.db', wrong(given))),
      own,
    );
  }
});

// A class of settings, as many a program has: its accessors are on its prototype, where a loop over properties does not find them.
class Settings {
  readonly #max: unknown;

  constructor(max: unknown) {
    this.#max = max;
  }

  get max(): unknown {
    return this.#max;
  }
}

test('an option that an accessor of a class gives is checked before it is used', (t) => {
  t.is(createPool('app.db', wrong(new Settings(3))).stats().max, 3);
  t.is(refusal(t, 'app.db', new Settings('many'))?.option, 'max');
});

test('an option is read once, so that what was checked is what is used', (t) => {
  let reads = 0;
  const given = {
    get max() {
      return reads++ === 0 ? 4 : 'many';
    },
  };
  t.is(createPool('app.db', wrong(given)).stats().max, 4);
});

test('a number of any length is shown in a message of bounded length', (t) => {
  const error = t.throws(() => createPool('app.db', wrong({ max: 10n ** 20_000n })), { instanceOf: OptionsError });
  isReadable(t, error?.message ?? '');
});

const revoked = (() => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
})();

for (const [what, file, given] of [
  ['options', 'app.db', revoked],
  ['a number', 'app.db', { max: revoked }],
  ['pragmas', 'app.db', { pragmas: revoked }],
  ['a path', revoked, {}],
] as const) {
  test(`an object that can not be looked at is refused as ${what} like any other`, (t) => {
    t.truthy(refusal(t, file, given));
  });
}

test('what a pragma is at its last reading has to be allowed', (t) => {
  let reads = 0;
  const fickle = {
    get cache_size() {
      return reads++ === 0 ? 5 : { toString: () => '5; DROP' };
    },
  };
  t.is(refusal(t, 'app.db', { pragmas: fickle })?.option, 'pragmas');
});
