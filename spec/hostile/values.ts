import type { ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import { OptionsError } from '../../lib/index.ts';

/**
 * Text that breaks out of a line, moves a cursor, reorders what is read or is no text at all. Whatever prints it must print
 * something else in its place.
 */
export const hostileTexts: readonly string[] = [
  'a\nb',
  '\r\n  #2  admin       4.2 s   last used 4.1 s ago',
  '\u001b[2J\u001b[31mred\u001b]0;title\u0007',
  '\u0000\u0008\u007f\u0085\u009b31m',
  '\u202emoc.elpmaxe\u202c\u2066\u2069',
  'one\u2028two\u2029three',
  '\ud800 alone \udfff',
  `"} 1\n${'x'.repeat(40)}{y="\\`,
  '__proto__',
  'constructor',
  '%s %o %j %%',
  '`x` ${',
  '🎉'.repeat(400),
  'x'.repeat(1_000_000),
];

/** Text of any kind, mostly harmless. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...hostileTexts),
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ maxLength: 20 }),
);

const sparse: unknown[] = [];
sparse[3] = 1;

/** What a program may pass where it is mistaken, or where it passes on what came over a network. */
const oddities: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  1,
  -1,
  0.5,
  Number.NaN,
  Infinity,
  -Infinity,
  2 ** 31,
  2 ** 53,
  -(2 ** 53),
  Number.MIN_VALUE,
  Number.MAX_VALUE,
  0n,
  5n,
  -(2n ** 70n),
  '',
  ' ',
  '5',
  '0x10',
  'lifo',
  Symbol('x'),
  Symbol.iterator,
  () => {},
  AbortController,
  [],
  [5],
  sparse,
  {},
  Object.create(null),
  { valueOf: () => 5 },
  { toString: () => 'lifo' },
  { [Symbol.toPrimitive]: () => 5 },
  new Proxy({}, {}),
  new Proxy(() => {}, {}),
  new Date(0),
  new Date(Number.NaN),
  /x/,
  new Map(),
  new Error('x'),
  Promise.resolve(5),
  Buffer.from('x'),
  new Uint8Array(3),
  new AbortController(),
  Object(5),
  Object('lifo'),
  ...hostileTexts,
];

/** Any value at all, but no `undefined`: an option that is `undefined` counts as absent. */
export const anyValue: fc.Arbitrary<unknown> = fc
  .oneof(
    { arbitrary: fc.constantFrom(...oddities), weight: 3 },
    {
      arbitrary: fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true, withSparseArray: true }),
      weight: 1,
    },
  )
  .filter((value) => value !== undefined);

/** Names of options that there are nowhere, among them what every object has. */
const noOptions: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 'Max', 'max ', '', '0'),
  fc.constantFrom(...hostileTexts),
  fc.string({ unit: 'binary', maxLength: 12 }),
);

/** Objects of a few options, as they come: some there are and some not, with values that fit and values that do not. */
export function anyOptions(good: Readonly<Record<string, readonly unknown[]>>): fc.Arbitrary<object> {
  const known = fc.constantFrom(...Object.keys(good)).chain((name) =>
    fc.tuple(
      fc.constant(name),
      fc.oneof(
        { arbitrary: fc.constantFrom<unknown>(...(good[name] ?? [])), weight: 4 },
        {
          arbitrary: fc.constantFrom<unknown>(0, -0, -1, 0.5, Number.NaN, Infinity, '5', '', null, 2 ** 31),
          weight: 1,
        },
        { arbitrary: anyValue, weight: 1 },
        { arbitrary: fc.constant(undefined), weight: 1 },
      ),
    ),
  );
  const unknown = fc.tuple(noOptions, fc.oneof(anyValue, fc.constant(undefined)));
  const entries = fc.array(fc.oneof({ arbitrary: known, weight: 8 }, { arbitrary: unknown, weight: 1 }), {
    maxLength: 4,
  });
  return fc.tuple(entries, fc.constantFrom<object | null>(Object.prototype, null)).map(([pairs, prototype]) => {
    const options: object = Object.create(prototype);
    // Not by assignment, which `__proto__` would not survive.
    for (const [name, value] of pairs) {
      Object.defineProperty(options, name, { value, enumerable: true, configurable: true, writable: true });
    }
    return options;
  });
}

/** Asserts that a message is one a person can read in a terminal: bounded, and with nothing in it that is not shown. */
export function isReadable(t: ExecutionContext, message: string, lines = 1): void {
  const start = message.slice(0, 200);
  t.true(message.length < 4000, `${message.length} characters: ${start}`);
  t.notRegex(message, /[^\n\P{Cc}]|[\u2028-\u202e\u2066-\u2069]/u, start);
  t.true(message.split('\n').length <= lines, start);
}

/** The error for options, if that is what it is: no other may come of them. */
export function refusalOf(t: ExecutionContext, error: unknown): OptionsError {
  if (!(error instanceof OptionsError)) throw error;
  t.is(error.code, 'ERR_LEASEHOLD_OPTIONS');
  isReadable(t, error.message);
  t.true(error.message.startsWith('Option "'), error.message);
  t.true(error.message.includes(`: expected ${error.allowed}.`), error.message);
  return error;
}

/** How a value is to be checked, said once more and in other words than in the library. */
export type Oracle = (value: unknown) => boolean;

const isNumber = (value: unknown): value is number => typeof value === 'number';
const isWhole = (value: unknown, least: number): boolean => Number.isSafeInteger(value) && Number(value) >= least;

export const oracles = {
  above0: (value: unknown) => isNumber(value) && value > 0,
  from0: (value: unknown) => isNumber(value) && value >= 0,
  whole:
    (least: number): Oracle =>
    (value) =>
      isWhole(value, least),
  wholeOrInfinity:
    (least: number): Oracle =>
    (value) =>
      value === Infinity || isWhole(value, least),
  finite: (value: unknown) => isNumber(value) && Math.abs(value) <= Number.MAX_VALUE,
  text: (value: unknown) => typeof value === 'string',
  textNotEmpty: (value: unknown) => typeof value === 'string' && value.length > 0,
  flag: (value: unknown) => value === true || value === false,
  fn: (value: unknown) => typeof value === 'function',
  signal: (value: unknown) => Object.prototype.toString.call(value) === '[object AbortSignal]',
  among:
    (...texts: readonly string[]): Oracle =>
    (value) =>
      texts.some((text) => text === value),
} as const satisfies Record<string, Oracle | ((...args: never[]) => Oracle)>;

/** Values that fit, for options to be made of. */
export const fitting = {
  duration: [Number.MIN_VALUE, 50, 5000, Infinity],
  whole: [1, 2, 10],
  signal: [new AbortController().signal],
  flag: [true, false],
} as const;

/** Whether an option may have a value: one that is unknown may have none, any other may be absent. */
export function isAllowed(oracle: Readonly<Record<string, Oracle>>, name: string, value: unknown): boolean {
  if (!Object.hasOwn(oracle, name)) return false;
  return value === undefined || oracle[name]?.(value) === true;
}
