import { runInNewContext } from 'node:vm';
import test from 'ava';
import { compareBoth, kinds, tell } from '../support/drop-in.ts';
import { compare, loosely, temporaryPool } from '../support/sqlite.ts';

class Row {
  a = 1;
}

const bytes = new Uint8Array([1, 2, 3]);

/** What better-sqlite3 binds, takes for named parameters, or refuses. Beside the kinds of values, the corners of its rules. */
const values: readonly (readonly [name: string, value: unknown])[] = [
  ...kinds,
  ['Infinity', Infinity],
  ['-0', -0],
  ['2 ** 53', 2 ** 53],
  ['the greatest integer', 2n ** 63n - 1n],
  ['the least integer', -(2n ** 63n)],
  ['an integer too great', 2n ** 63n],
  ['a Uint8Array', bytes],
  ['a part of a Uint8Array', bytes.subarray(1)],
  ['an Int8Array', new Int8Array([1])],
  ['a Float64Array', new Float64Array([1])],
  ['an ArrayBuffer', new ArrayBuffer(2)],
  ['an empty Buffer', Buffer.alloc(0)],
  ['text with NUL', 'a\0b'],
  ['half of a surrogate pair', 'a\ud800b'],
  ['a surrogate pair', '😀'],
  ['an instance of a class', new Row()],
  ['a frozen object', Object.freeze({ a: 1 })],
  ['an object of another realm', runInNewContext('({ a: 1 })')],
  ['an array of another realm', runInNewContext('[1]')],
  ['an object behind a Proxy', new Proxy({ a: 1 }, {})],
  ['a property that is not enumerable', Object.defineProperty({}, 'a', { value: 1 })],
  ['a property that is inherited', Object.create({ a: 1 })],
  [
    'a getter',
    {
      get a() {
        return 7;
      },
    },
  ],
  ['an object without prototype, with a property', Object.assign(Object.create(null), { a: 1 })],
  ['a property too many', { a: 1, b: 2 }],
  ['a property undefined', { a: undefined }],
  ['a property that is an object', { a: {} }],
  ['a property that is an array', { a: [1] }],
  ['a property true', { a: true }],
  ['a property that is a Date', { a: new Date(0) }],
  ['a property named __proto__', JSON.parse('{ "__proto__": 1, "a": 2 }')],
  ['one value in an array', [1]],
  ['a hole', Array.from({ length: 1 })],
  ['an array in an array', [[1]]],
  ['an object in an array', [{ a: 1 }]],
  ['a subclass of Array', class extends Array<number> {}.of(1)],
];

const failingValues = [
  [
    'a getter that fails',
    {
      get a(): never {
        throw new RangeError('getter');
      },
    },
  ],
  [
    'a getter that fails, and is no parameter',
    {
      a: 1,
      get b(): never {
        throw new RangeError('getter');
      },
    },
  ],
] as const;

const texts = [
  'SELECT v, typeof(v) AS type FROM (SELECT ? AS v)',
  'SELECT v, typeof(v) AS type FROM (SELECT @a AS v)',
  'SELECT 1 AS v',
  'SELECT :a AS v, ? AS w',
  'SELECT ?2 AS v, ?1 AS w',
  'SELECT $a AS v, :a AS w, @b AS x',
];

for (const method of ['get', 'all', 'iterate', 'run', 'bind'] as const) {
  test(`parameters given to ${method} are bound and refused as by better-sqlite3`, async (t) => {
    await compareBoth(t, (subject) => {
      for (const sql of texts) {
        const take = (args: unknown[]) => () => {
          const result = loosely(subject.db.prepare(sql), method, args);
          return method === 'iterate' ? [...(result as Iterable<unknown>)] : result;
        };
        for (const [name, value] of [...values, ...failingValues]) {
          tell(subject, `${sql}: ${name}`, take([value]));
          tell(subject, `${sql}: ${name}, then 1`, take([value, 1]));
          tell(subject, `${sql}: 1, then ${name}`, take([1, value]));
          tell(subject, `${sql}: ${name}, then { b: 1 }`, take([value, { b: 1 }]));
        }
      }
    });
  });
}

test('what was bound is used as better-sqlite3 uses it', async (t) => {
  await compareBoth(t, (subject) => {
    for (const sql of texts) {
      for (const [name, value] of [...values, ...failingValues]) {
        for (const args of [[value], [1, value]]) {
          tell(subject, `${sql}: ${args.length} with ${name}`, () => {
            const statement = subject.db.prepare(sql);
            loosely(statement, 'bind', args);
            return [statement.get(), statement.all(), [...statement.iterate()], loosely(statement, 'toString', [])];
          });
        }
      }
    }
  });
});

test('a bind that was refused may be tried again, one that was not may not', async (t) => {
  await compareBoth(t, (subject) => {
    const statement = subject.db.prepare('SELECT ? AS a, @b AS b');
    for (const args of [[], [1], [1, {}], [1, { b: true }], [1, { b: 2 }], [1, { b: 2 }], []]) {
      tell(subject, `bind(${JSON.stringify(args)})`, () => loosely(statement, 'bind', args));
      tell(subject, 'get(3, { b: 4 })', () => statement.get(3, { b: 4 }));
    }
    tell(subject, 'get()', () => statement.get());
  });
});

test('values bound outside a scope are kept as they are then', async (t) => {
  const pool = temporaryPool(t);
  const kept = Object.defineProperty({ list: [1], fails: 0 }, 'hidden', { value: 'seen' });
  Object.defineProperty(kept, 'fails', {
    get() {
      throw new RangeError('no parameter');
    },
  });
  const other = runInNewContext('({ a: 1 })') as { a: number };
  const hidden = pool.db.prepare('SELECT @hidden AS hidden').pluck().bind(kept);
  const ofOther = pool.db.prepare('SELECT @a AS a').pluck().bind(other);
  const failing = pool.db.prepare('SELECT @fails').bind(kept);
  const misfit = pool.db.prepare('SELECT ?').bind(1, 2);
  other.a = 2;
  await pool.withConnection(() => {
    t.is(hidden.get(), 'seen');
    t.is(ofOther.get(), 1);
    t.throws(() => failing.get(), { instanceOf: RangeError, message: 'no parameter' });
    t.throws(() => misfit.get(), { instanceOf: RangeError, message: 'Too many parameter values were provided' });
  });
});

test('many parameters, and more than SQLite has', async (t) => {
  await compareBoth(t, (subject) => {
    const { db } = subject;
    for (const count of [1, 2000, 32766, 32767]) {
      const list = Array.from({ length: count }, (_, index) => index);
      const sql = `SELECT count(*) FROM (VALUES ${list.map(() => '(?)').join()})`;
      tell(subject, `${count} in an array`, () => db.prepare(sql).pluck().get(list));
      tell(subject, `${count} one by one`, () =>
        db
          .prepare(sql)
          .pluck()
          .get(...list),
      );
    }
  });
});

test('bytes that are bound and returned are copies', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const given = Buffer.from('before');
    const statement = db.prepare('SELECT ? AS bytes').pluck();
    const bound = db.prepare<unknown[], Buffer>('SELECT ? AS bytes').pluck().bind(given);
    const returned = statement.get(given) as Buffer;
    given.fill('x');
    step(() => returned);
    step(() => bound.get());
    (bound.get() as Buffer).fill('y');
    step(() => bound.get());
  });
  t.deepEqual(outcomes[0], { returned: Buffer.from('before') });
  t.deepEqual(outcomes[2], outcomes[0]);
});
