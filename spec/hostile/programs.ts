import * as fc from 'fast-check';
import type { Binds, Step } from './twins.ts';

const text = fc.constantFrom('a', 'steel', '', '\0', '\u{1f389}', '\ud800', "';--", 'x'.repeat(70_000));

class Getter {
  get a(): number {
    return 1;
  }
}

/** Values as programs bind them, and as they should not. */
const odd: readonly (readonly [text: string, make: () => readonly unknown[]])[] = [
  ['undefined', () => [undefined]],
  ['NaN', () => [Number.NaN]],
  ['-0', () => [-0]],
  ['Infinity', () => [Infinity, -Infinity]],
  ['a Date', () => [new Date(0)]],
  ['true', () => [true]],
  ['a symbol', () => [Symbol('x')]],
  ['a function', () => [() => 1]],
  ['an array in an array', () => [[[1]]]],
  ['an array', () => [[1, 'a', null]]],
  ['an array and a value', () => [[1], 2]],
  ['an array with a hole', () => [Object.assign([], { length: 3 })]],
  ['names', () => [{ a: 1, größe: 2 }]],
  ['names and positions', () => [1, { a: 'x' }, 2]],
  ['two objects of names', () => [{ a: 1 }, { a: 2 }]],
  ['names without a prototype', () => [Object.assign(Object.create(null), { a: 1 })]],
  ['inherited names', () => [Object.create({ a: 1 })]],
  [
    'names by a getter',
    () => [
      {
        get a() {
          return 5;
        },
      },
    ],
  ],
  [
    'names by a getter that throws',
    () => [
      {
        get a() {
          throw new RangeError('own');
        },
      },
    ],
  ],
  ['names by a proxy', () => [new Proxy({}, { get: () => 7, getOwnPropertyDescriptor: () => undefined })]],
  ['an object of a class', () => [new Getter()]],
  ['a Map', () => [new Map([['a', 1]])]],
  ['an empty object', () => [{}]],
  ['an object in names', () => [{ a: {} }]],
  ['__proto__', () => [JSON.parse('{"__proto__": 1, "a": 2}')]],
  ['a large bigint', () => [2n ** 63n]],
  ['the largest bigint', () => [2n ** 63n - 1n, -(2n ** 63n)]],
  ['a Buffer', () => [Buffer.from([0, 255])]],
  ['a Uint8Array', () => [new Uint8Array([1, 2])]],
  ['an empty Buffer', () => [Buffer.alloc(0)]],
  ['a Float64Array', () => [new Float64Array([1.5])]],
  ['an ArrayBuffer', () => [new ArrayBuffer(4)]],
  // No DataView: better-sqlite3 ends the process where there are more values than parameters.
  ['a boxed number', () => [Object(5)]],
  ['null', () => [null]],
  ['a thousand values', () => [Array.from({ length: 1000 }, (_, index) => index)]],
];

export const binds: fc.Arbitrary<Binds> = fc.oneof(
  fc.constant({ text: '', make: () => [], toString: () => '' }),
  fc
    .array(
      fc.oneof(fc.integer(), fc.double(), text, fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }), fc.constant(null)),
      {
        maxLength: 4,
      },
    )
    .map((values) => ({ text: fc.stringify(values), make: () => values, toString: () => fc.stringify(values) })),
  fc.constantFrom(...odd).map(([name, make]) => ({ text: name, make, toString: () => name })),
);

const at = fc.nat({ max: 2 });
const on = fc.constantFrom<readonly unknown[]>([], [true], [false], [undefined], [1], ['on']);

/** Programs of a few steps over the texts that are given. */
export function programs(statement: fc.Arbitrary<string>, script: fc.Arbitrary<string>): fc.Arbitrary<Step[]> {
  const prepare = fc.record({ do: fc.constant('prepare' as const), at, sql: statement });
  const method = fc.constantFrom('run', 'get', 'all', 'iterate', 'all', 'run', 'bind');
  const use = fc.record({ do: fc.constant('use' as const), at, method, args: binds });
  const toggles = fc.constantFrom('pluck', 'raw', 'expand', 'safeIntegers');
  const whole = fc
    .tuple(statement, binds, fc.constantFrom('run', 'get', 'all', 'iterate'), at)
    .map(([sql, args, how, where]): Step[] => [
      { do: 'prepare', at: where, sql },
      { do: 'use', at: where, method: how, args },
    ]);
  const step: fc.Arbitrary<Step> = fc.oneof(
    { arbitrary: prepare, weight: 3 },
    { arbitrary: use, weight: 6 },
    { arbitrary: fc.record({ do: fc.constant('toggle' as const), at, method: toggles, args: on }), weight: 2 },
    { arbitrary: fc.record({ do: fc.constantFrom('next' as const, 'return' as const), at }), weight: 3 },
    {
      arbitrary: fc.record({
        do: fc.constant('ask' as const),
        at,
        what: fc.constantFrom('inTransaction', 'busy', 'reader', 'readonly', 'source'),
      }),
      weight: 1,
    },
    {
      arbitrary: fc.record({
        do: fc.constant('use' as const),
        at,
        method: fc.constant('columns'),
        args: fc.constant(none),
      }),
      weight: 1,
    },
    {
      arbitrary: fc.record({
        do: fc.constant('script' as const),
        method: fc.constantFrom('exec' as const, 'exec' as const, 'explain' as const),
        args: script.map((sql) => [sql]),
      }),
      weight: 3,
    },
    {
      arbitrary: fc.record({
        do: fc.constant('script' as const),
        method: fc.constant('pragma' as const),
        args: fc.tuple(
          fc.constantFrom(
            'user_version',
            'foreign_keys',
            'user_version = 7',
            'table_info(item)',
            'x; SELECT 1',
            '',
            'cache_size(-5)',
          ),
          fc.constantFrom<unknown>(undefined, { simple: true }, { simple: 1 }, null, 5),
        ),
      }),
      weight: 1,
    },
  );
  const part = fc.oneof({ arbitrary: whole, weight: 2 }, { arbitrary: step.map((each) => [each]), weight: 3 });
  return fc.array(part, { minLength: 1, maxLength: 12 }).map((parts) => parts.flat());
}

const none: Binds = { text: '', make: () => [], toString: () => '' };
