import test from 'ava';
import { calling, compareBoth, eachKind, eachOption, kinds, tell } from '../support/drop-in.ts';
import { compare, loosely, type Script } from '../support/sqlite.ts';

const add = (total: number, next: number) => total + next;
function* rows(value: unknown) {
  yield [value];
}

/** For each method of a handle what it is called with, beside no argument and one of every kind. */
const methods: Record<string, [name: string, ...args: unknown[]][]> = {
  prepare: [['SELECT 1', 'SELECT 1'], ...eachKind('SELECT 1')],
  exec: [['SELECT 1', 'SELECT 1'], ...eachKind('SELECT 1')],
  explain: [['SELECT 1', 'SELECT 1'], ...eachKind('SELECT 1')],
  pragma: [['user_version', 'user_version'], ...eachKind('user_version'), ...eachOption('simple', ['user_version'])],
  transaction: [...eachKind(() => 1)],
  function: [
    ...eachKind('f'),
    ...eachKind(''),
    ...eachKind('f', {}),
    ...eachKind('f', () => 1),
    ...['varargs', 'deterministic', 'directOnly', 'safeIntegers'].flatMap((option) =>
      eachOption(option, ['f'], {}, [(x: unknown) => x]),
    ),
  ],
  aggregate: [
    ...eachKind('a'),
    ['an empty name', '', { step: add }],
    ['too many', 'a', { step: add }, 1, 2],
    ...['varargs', 'deterministic', 'directOnly', 'safeIntegers', 'start', 'step', 'inverse', 'result'].flatMap(
      (option) => eachOption(option, ['a'], { start: 0, step: add }),
    ),
  ],
  table: [
    ...eachKind('t'),
    ...eachKind(''),
    ...['rows', 'columns', 'parameters', 'directOnly', 'safeIntegers'].flatMap((option) =>
      eachOption(option, ['t'], { columns: ['a'], rows }),
    ),
    ['two columns of one name', 't', { columns: ['a', 'a'], rows }],
    ['a parameter named as a column', 't', { columns: ['a'], parameters: ['a'], rows }],
    ['too many parameters', 't', { columns: ['a'], parameters: Array.from({ length: 33 }, (_, n) => `p${n}`), rows }],
    ['a name that is no string', 't', { columns: [1], rows }],
    ['no columns', 't', { rows }],
    ['no rows', 't', { columns: ['a'] }],
  ],
  loadExtension: [...eachKind('/nowhere/at-all'), ['three arguments', '/nowhere/at-all', 'entry', 1]],
  defaultSafeIntegers: [['true, false', true, false]],
  unsafeMode: [['true, false', true, false]],
  serialize: [...eachOption('attached', []), ['attached: main', { attached: 'main' }]],
};

for (const [method, lists] of Object.entries(methods)) {
  test(`${method} takes and refuses arguments as better-sqlite3 does`, async (t) => {
    const script = calling(method, [['nothing'], ...eachKind(), ...lists]);
    await (method === 'loadExtension' ? compareRefused(t, script) : compareBoth(t, script));
  });
}

/** As `compareBoth`, for what cannot succeed here. */
async function compareRefused(t: Parameters<typeof compareBoth>[0], script: Script): Promise<void> {
  await compareBoth(t, async (subject) => {
    tell(subject, 'something that succeeds', () => 1);
    await script(subject);
  });
}

test('backup takes and refuses arguments as better-sqlite3 does, by rejection', async (t) => {
  await compareBoth(t, async ({ db, directory, settle }) => {
    const file = `${directory}/copy.db`;
    const lists: unknown[][] = [
      [],
      ...kinds.map(([, value]) => [value]),
      ...kinds.map(([, value]) => [file, value]),
      ...kinds.map(([, value]) => [file, { attached: value }]),
      ...kinds.map(([, value]) => [file, { progress: value }]),
      [` ${file} `],
      [directory],
      [`${directory}/missing/copy.db`],
      [':memory:'],
      [' :memory: '],
      [file, { attached: 'main' }, 'too many'],
    ];
    // A string that is a path would be a file beside the specs.
    for (const list of lists.filter(([name]) => name !== 'text')) await settle(() => loosely(db, 'backup', list));
  });
});

/** Statements of every kind: with and without rows, reading and writing. */
const statements = [
  'SELECT id, name FROM item ORDER BY id',
  'VALUES (1, 2)',
  'WITH x (a) AS (SELECT 1) SELECT a FROM x',
  'DELETE FROM tag WHERE 0',
  "INSERT INTO item (name) VALUES ('cog') RETURNING id",
  'CREATE TABLE IF NOT EXISTS other (x)',
  'EXPLAIN SELECT 1',
  'EXPLAIN QUERY PLAN SELECT * FROM item',
  'BEGIN',
  'ROLLBACK',
];

// pool.db looks at a PRAGMA when it is used, because to prepare one may be to run it.
const pragmas = ['PRAGMA user_version', 'PRAGMA user_version = 3', 'PRAGMA table_info(item)'];

/** Calls a method of each statement with one argument of every kind. */
function callingEach(texts: readonly string[], method: string): Script {
  return (subject) => {
    const rest: [name: string, ...args: unknown[]][] = [['nothing'], ['true, false', true, false], ['[]', []]];
    for (const sql of texts) {
      for (const [name, ...args] of [...rest, ...eachKind()]) {
        tell(subject, `${sql}: ${method}(${name})`, () => {
          const result = loosely(subject.db.prepare(sql), method, args);
          if (method !== 'iterate') return result;
          // One that is left open would keep all that comes after it from being done.
          return [...(result as Iterable<unknown>)];
        });
      }
    }
  };
}

for (const method of ['run', 'get', 'all', 'iterate', 'bind', 'pluck', 'expand', 'raw', 'safeIntegers', 'columns']) {
  test(`${method} of a statement takes and refuses arguments as better-sqlite3 does`, async (t) => {
    await compareBoth(t, callingEach(statements, method));
    await compareBoth(t, callingEach(pragmas, method), { ambient: false });
  });
}

/** Runs each statement after a call that is refused. */
function runningAfter(texts: readonly string[]): Script {
  const refusing = ['bind', 'pluck', 'expand', 'raw', 'safeIntegers', 'columns', 'get', 'all', 'iterate', 'run'];
  return (subject) => {
    for (const sql of texts) {
      for (const method of refusing) {
        tell(subject, `${sql}: run after ${method}('wrong')`, () => {
          const statement = subject.db.prepare(sql);
          try {
            loosely(statement, method, ['wrong']);
          } catch {
            // What was said is compared above.
          }
          return statement.reader ? statement.all() : statement.run();
        });
      }
    }
  };
}

test('a refused call changes nothing of a statement', async (t) => {
  await compareBoth(t, runningAfter(statements));
  await compare(t, runningAfter(pragmas), { ambient: false });
});

test('options are read as better-sqlite3 reads them: inherited, by getters, once', async (t) => {
  await compareBoth(t, (subject) => {
    const { db } = subject;
    const read: string[] = [];
    const watched = (options: object): never =>
      new Proxy(options, {
        get(target, key) {
          read.push(`get ${String(key)}`);
          return Reflect.get(target, key);
        },
        has(target, key) {
          read.push(`has ${String(key)}`);
          return Reflect.has(target, key);
        },
      }) as never;
    tell(subject, 'pragma', () => db.pragma('user_version', watched({ simple: true })));
    tell(subject, 'serialize', () => db.serialize(watched({ attached: 'main' })).length);
    tell(subject, 'function', () => db.function('f', watched({ varargs: true, deterministic: true }), () => 1));
    tell(subject, 'aggregate', () => db.aggregate('a', watched({ start: 1, step: add, directOnly: false })));
    tell(subject, 'what was read', () => read);
    tell(subject, 'inherited', () => db.pragma('user_version', Object.create({ simple: true }) as object));
    const failing = {
      get simple(): boolean {
        throw new RangeError('an option that fails');
      },
    };
    tell(subject, 'failing', () => db.pragma('user_version', failing));
  });
});
