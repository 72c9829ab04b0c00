import { isDeepStrictEqual } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { type Client, Query, types } from 'pg';
import type { LeasedClient } from '../../lib/postgres.ts';
import { postgresUrl } from '../support/postgres.ts';
import { clientOn, poolOn } from '../support/postgres-handle.ts';

const url = await postgresUrl();

const shout = (text: string): string => text.toUpperCase();

/** `query` in all its forms, also in those that the types do not have. */
type Ask = (...params: unknown[]) => unknown;

function askOf(db: Client | LeasedClient): Ask {
  return (...params) => Reflect.apply(db.query, db, params);
}

/** All that an error has; but for where it was thrown. */
function describe(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message } = error;
  return { ...(error as object), class: error.constructor.name, name, message };
}

/** Runs the same on pg's own client and on a handle, and returns what came of it, which has to be the same. */
async function compare(t: ExecutionContext, calls: (ask: Ask) => Promise<unknown>): Promise<unknown> {
  const outcomes: unknown[] = [];
  const run = async (db: Client | LeasedClient) => {
    try {
      outcomes.push({ returned: await calls(askOf(db)) });
    } catch (error) {
      outcomes.push({ thrown: describe(error) });
    }
  };
  await run(await clientOn(t, url));
  await poolOn(t, url).withConnection(run);
  const [expected, actual] = outcomes;
  t.deepEqual(actual, expected);
  // Also what has no part in a comparison of ava: classes, functions.
  t.true(isDeepStrictEqual(actual, expected));
  return actual;
}

/** How a call calls back. */
function calledBack(ask: Ask, ...params: unknown[]): Promise<unknown> {
  return new Promise((resolve) => {
    const returned = ask(...params, (...args: unknown[]) =>
      // That there is no result beside an error may be said or not.
      resolve({ returned: String(returned), args: args.map(describe).slice(0, args[0] === null ? 2 : 1) }),
    );
  });
}

test('a text, values, a query object and rows as arrays give the results of pg', async (t) => {
  const calls: (readonly unknown[])[] = [
    ['SELECT 1 AS a, NULL AS b'],
    ['SELECT $1::int AS a', [1]],
    ['SELECT 1', []],
    ['SELECT 1', undefined],
    ['SELECT 1', null],
    [{ text: 'SELECT 1 AS a' }],
    [{ text: 'SELECT $1::text AS a', values: ['x'] }],
    [{ text: 'SELECT $1::text AS a', values: ['x'] }, ['y']],
    [{ text: 'SELECT 1, 1 AS two, 3 AS two', rowMode: 'array' }],
    [{ text: 'SELECT 1 AS a, 2 AS a' }],
    [{ text: 'SELECT 1 AS a', queryMode: 'extended' }],
    [{ text: 'SELECT 7::int4 AS a', binary: true, values: [] }],
    [''],
    ['-- nothing'],
    [';'],
  ];
  for (const params of calls) await compare(t, async (ask) => ask(...params));
});

test('commands give the results of pg: counts, object identifiers, many statements in one text', async (t) => {
  await compare(t, async (ask) => {
    const results = [
      await ask('BEGIN'),
      await ask('CREATE TABLE item (id int, name text)'),
      await ask(`INSERT INTO item VALUES (1, 'a'), (2, 'b')`),
      await ask('INSERT INTO item VALUES (3, $1) RETURNING id, upper(name) AS name', ['c']),
      await ask('UPDATE item SET id = id + 1 WHERE id > 1'),
      await ask(`SELECT 1 AS a; UPDATE item SET name = 'z'; SELECT 2 AS b, 3 AS c`),
      await ask('DELETE FROM item'),
      await ask('TABLE pg_description LIMIT 0'),
      await ask('ROLLBACK'),
    ];
    // Of a table that was made for this run.
    return JSON.parse(JSON.stringify(results).replaceAll(/"tableID":\d+/g, '"tableID":0'));
  });
});

test('a parser of types counts for one query where that has its own, and for all where it is pg’s', async (t) => {
  const shouting = { getTypeParser: () => shout };
  await compare(t, async (ask) => ask({ text: `SELECT 'quiet' AS a, 1 AS b`, types: shouting }));
  const { INT8 } = types.builtins;
  const usual = types.getTypeParser(INT8);
  t.teardown(() => types.setTypeParser(INT8, usual));
  types.setTypeParser(INT8, BigInt);
  const outcome = await compare(t, async (ask) => ((await ask('SELECT 9007199254740993::int8 AS a')) as never)['rows']);
  t.deepEqual(outcome, { returned: [{ a: 9007199254740993n }] });
});

test('errors are those of pg, with all their fields', async (t) => {
  const calls: (readonly unknown[])[] = [
    ['SELECT nonsense'],
    ['SELEC 1'],
    ['SELECT 1/0'],
    ['SELECT $1::int', ['x']],
    ['SELECT $1::int + $2', [1]],
    ['SELECT $1', [1, 2]],
    ['SELECT 1; SELECT nonsense; SELECT 2'],
    ['SELECT 1; SELECT $1::int', [1]],
    [{ text: 'SELECT 1', rowMode: 'array', values: ['x'] }],
    [
      `DO $$ BEGIN RAISE EXCEPTION 'a' USING DETAIL = 'b', HINT = 'c', ERRCODE = 'P0042', COLUMN = 'd', TABLE = 'e'; END $$`,
    ],
    [
      'SELECT $1::text',
      [
        {
          toPostgres: () => {
            throw new RangeError('no such value');
          },
        },
      ],
    ],
    ['COPY pg_class FROM STDIN'],
    [
      {
        text: 'SELECT 1',
        types: {
          getTypeParser: () => () => {
            throw new TypeError('not parsed');
          },
        },
      },
    ],
  ];
  for (const params of calls) {
    const outcome = await compare(t, async (ask) => ask(...params));
    t.true('thrown' in (outcome as object), JSON.stringify(params[0]));
  }
});

test('the stack of an error leads to who has asked', async (t) => {
  const pool = poolOn(t, url);
  async function whoAsks(): Promise<unknown> {
    return pool.withConnection(async (db) => await db.query('SELECT nonsense'));
  }
  const error = await t.throwsAsync(whoAsks(), { code: '42703' });
  t.regex(error?.stack ?? '', /query\.spec/);
});

test('callbacks are called with what pg calls them with, and nothing is returned', async (t) => {
  const calls: (readonly unknown[])[] = [
    ['SELECT 1 AS a'],
    ['SELECT $1::int AS a', [1]],
    ['SELECT $1::int AS a', undefined],
    [{ text: 'SELECT $1::int AS a', values: [2] }],
    [{ text: 'SELECT $1::int AS a' }, [3]],
    ['SELECT nonsense'],
    ['SELECT $1::int AS a', ['x']],
    ['SELECT 1 AS a; SELECT 2 AS b'],
  ];
  for (const params of calls) await compare(t, (ask) => calledBack(ask, ...params));
});

test('what is called back comes in the order that was asked for, and later than the call returns', async (t) => {
  await compare(t, async (ask) => {
    const order: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    ask('SELECT 1', () => order.push('first'));
    ask('SELECT nonsense', () => order.push('second'));
    ask('SELECT 3', () => {
      order.push('third');
      resolve();
    });
    order.push('asked');
    await promise;
    return order;
  });
});

/** All that a query object tells. */
function toldBy(query: Query): Promise<unknown[]> {
  return new Promise((resolve) => {
    const told: unknown[] = [];
    query.on('row', (row: unknown) => told.push({ row }));
    query.on('error', (error: unknown) => resolve([...told, describe(error)]));
    query.on('end', (result: unknown) => resolve([...told, result]));
  });
}

test('a query object of pg is returned as it is, and tells what it tells with pg', async (t) => {
  const configs: (readonly [unknown, unknown[]?])[] = [
    ['SELECT generate_series(1, 3) AS n'],
    ['SELECT $1::int AS n', [5]],
    [{ text: 'SELECT 1', rowMode: 'array' }],
    ['SELECT nonsense'],
    ['SELECT 1/(3 - n) FROM generate_series(1, 5) AS n'],
    ['SELECT 1 AS a; SELECT 2 AS b'],
  ];
  for (const config of configs) {
    await compare(t, async (ask) => {
      const query = Reflect.construct(Query, config) as Query;
      const told = toldBy(query);
      return [ask(query) === query, await told];
    });
  }
});

test('a query object of pg calls back the function beside it', async (t) => {
  await compare(
    t,
    (ask) =>
      new Promise((resolve) => {
        ask(Reflect.construct(Query, ['SELECT 1 AS a']), (...args: unknown[]) => resolve(args.map(describe)));
      }),
  );
});
