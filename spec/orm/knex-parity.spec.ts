// Names of Knex.
// oxlint-disable no-underscore-dangle
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import knex, { type Knex } from 'knex';
import { createPool } from '../../lib/index.ts';
import { knexClient } from '../../lib/orm/knex.ts';
import { temporaryDirectory } from '../support/files.ts';

type Step = (call: () => PromiseLike<unknown>) => Promise<void>;
type Script = (db: Knex, step: Step) => Promise<void>;

/** Knex makes up names for the tables that it builds anew. */
function plain(text: string): string {
  return text.replaceAll(/_knex_temp_alter\d+/g, '_knex_temp_alter').replaceAll(/\btrx\d+/g, 'trx');
}

/** What better-sqlite3 says of the last row is left over from the last insertion on the connection. */
function withoutRowid(response: unknown): unknown {
  if (Array.isArray(response)) return response.map(withoutRowid);
  if (typeof response !== 'object' || response === null || !('lastInsertRowid' in response)) return response;
  return { ...response, lastInsertRowid: undefined };
}

/** Runs a script, and records what each step came to and what was told of it to listeners and to the log. */
async function record(config: Knex.Config, script: Script): Promise<readonly unknown[]> {
  const outcomes: unknown[] = [];
  const log = (kind: string) => (message: unknown) => void outcomes.push([kind, message]);
  const logs = { warn: log('warn'), error: log('error'), deprecate: log('deprecate'), debug: () => {} };
  const db = knex({ useNullAsDefault: true, log: logs, ...config });
  db.on('start', (builder: { _method?: string }) => void outcomes.push(['start', builder._method]));
  db.on('query', ({ sql, bindings }: Query) => void outcomes.push(['query', plain(sql), bindings]));
  db.on(
    'query-response',
    (response: unknown, { sql }: Query) => void outcomes.push(['response', plain(sql), withoutRowid(response)]),
  );
  db.on('query-error', (error: Error, { sql }: Query) => void outcomes.push(['error', plain(sql), error.message]));
  await script(db, async (call) => {
    try {
      outcomes.push({ returned: withoutRowid(await call()) });
    } catch (error) {
      const { name, message, code } = error as Error & { code?: string };
      outcomes.push({ name, message: plain(message), code });
    }
  });
  await db.destroy();
  return outcomes;
}

interface Query {
  readonly sql: string;
  readonly bindings: unknown;
}

/** Asserts that a script comes to the same with Knex's own client for better-sqlite3 and with that of a pool. */
async function compare(t: ExecutionContext, script: Script, config: Knex.Config = {}): Promise<void> {
  const directory = temporaryDirectory(t);
  const filename = join(directory, 'own.db');
  const expected = await record({ ...config, client: 'better-sqlite3', connection: { filename } }, script);
  const pool = createPool(join(directory, 'pool.db'));
  const found = await record({ ...config, client: knexClient(pool) }, script);
  await pool.close();
  t.true(expected.length > 5, 'The script does something');
  t.deepEqual(found, expected);
}

async function makeItems(db: Knex): Promise<void> {
  await db.schema.createTable('item', (table) => {
    table.increments('id');
    table.string('name').unique();
    table.float('size').defaultTo(1.5);
    table.boolean('isNew');
    table.dateTime('at');
    table.json('data');
  });
}

test('data changes return what they return with the client of Knex, and raise the same events', (t) =>
  compare(t, async (db, step) => {
    await makeItems(db);
    await step(() => db('item').insert({ name: 'bolt' }));
    await step(() => db('item').insert([{ name: 'nut' }, { name: 'washer', size: 3 }]));
    await step(() => db('item').insert({ name: 'screw' }).returning('*'));
    await step(() => db('item').insert({ name: 'screw' }).onConflict('name').merge({ size: 9 }));
    await step(() => db('item').insert({ name: 'screw' }).onConflict('name').ignore());
    await step(() => db('item').where({ name: 'nut' }).update({ size: 2 }));
    await step(() => db('item').where('size', '>', 1).update({ size: 4 }).returning(['id', 'size']));
    await step(() => db('item').where({ id: 1 }).increment('size', 5));
    await step(() => db('item').where({ name: 'bolt' }).del());
    await step(() => db('item').where({ name: 'nut' }).del().returning('id'));
    await step(() => db.batchInsert('item', [{ name: 'a' }, { name: 'b' }, { name: 'c' }], 2));
    await step(() => db('item').orderBy('id'));
    await step(() => db('item').truncate());
    await step(() => db('item').count());
  }));

test('queries return what they return with the client of Knex', (t) =>
  compare(t, async (db, step) => {
    await makeItems(db);
    await db('item').insert([{ name: 'bolt' }, { name: 'nut', size: 2 }, { name: 'washer', size: 3 }]);
    await step(() => db('item').first());
    await step(() => db('item').where({ id: 99 }).first());
    await step(() => db('item').pluck('name'));
    await step(() => db('item').sum('size as total').avg('size as mean'));
    await step(() => db.raw('select ? as a, ?? from item where name = :name', [1, 'name'] as never));
    await step(() => db.raw('select :a as a, :b as b', { a: 1, b: null }));
    await step(() => db.raw('select 1 as x'));
    await step(() => db.raw('update item set size = 1'));
    await step(() =>
      db
        .with('big', db('item').where('size', '>', 0))
        .select('name')
        .from('big'),
    );
    await step(() => db('item').columnInfo());
    await step(() => db('item').select(db.ref('name').as('n')).union(db('item').select('size')).orderBy('n'));
    await step(() => db.select(db.raw('9007199254740993 as big')).options({ safeIntegers: true }));
    await step(() => db.select(db.raw('9007199254740993 as big')).options({ safeIntegers: false }));
    await step(() => db.select(db.raw('5 as small')));
  }));

test('values are bound as with the client of Knex', (t) =>
  compare(t, async (db, step) => {
    await makeItems(db);
    const at = new Date(1_700_000_000_000);
    await step(() => db('item').insert({ name: 'bolt', isNew: true, at, data: JSON.stringify({ a: [1] }) }));
    await step(() => db('item').insert([{ name: 'nut' }, { size: undefined }] as never));
    await step(() => db('item').insert({ name: Buffer.from([1, 2]) as never, size: 10n as never }));
    await step(() => db('item').where({ isNew: true, at }).select());
    await step(() =>
      db('item')
        .where({ name: undefined } as never)
        .select(),
    );
    await step(() => db('item').insert({ name: { a: 1 } as never }));
    await step(() => db('item').insert({ name: Symbol.iterator as never }));
    await step(() => db('item').whereIn('name', ['bolt', 'nut']).whereNull('at').select());
    await step(() => db('item'));
  }));

test('errors are those of the client of Knex', (t) =>
  compare(t, async (db, step) => {
    await makeItems(db);
    await step(() => db('item').insert([{ name: 'bolt' }, { name: 'bolt' }]));
    await step(() => db('nowhere').select());
    await step(() => db.raw('selec 1'));
    await step(() => db.raw('select 1; select 2'));
    await step(() => db.raw(''));
    await step(() => db.raw('select ?', []));
    await step(() => db.schema.dropTable('nowhere'));
    await step(() => db('item').transacting(undefined as never));
    await step(() =>
      db.transaction(async (trx) => {
        await trx('item').insert({ name: 'nut' });
        await trx('nowhere').insert({ name: 'nut' });
      }),
    );
    await step(() => db('item').count());
  }));

test('errors leave out values where Knex is told to', (t) =>
  compare(
    t,
    async (db, step) => {
      await makeItems(db);
      await step(() => db('item').insert([{ name: 'secret' }, { name: 'secret' }]));
    },
    { compileSqlOnError: false },
  ));

test('transactions raise the events, and settle, as with the client of Knex', (t) =>
  compare(t, async (db, step) => {
    await makeItems(db);
    await step(() => db.transaction(async (trx) => trx('item').insert({ name: 'a' })));
    await step(() => db.transaction((trx) => void trx('item').insert({ name: 'b' }).then(trx.commit, trx.rollback)));
    await step(() =>
      db.transaction(
        (trx) =>
          void trx('item')
            .insert({ name: 'c' })
            .then(() => trx.rollback()),
      ),
    );
    await step(() => db.transaction((trx) => void trx.rollback(new Error('by hand'))));
    await step(() => db.transaction(async (trx) => trx.rollback(), { doNotRejectOnRollback: false }));
    await step(() => db.transaction(async (trx) => trx.commit('given')));
    await step(() =>
      db.transaction(async (trx) => {
        await trx('item').insert({ name: 'd' });
        await trx.transaction(async (inner) => void (await inner('item').insert({ name: 'e' })));
        await trx
          .savepoint(async (inner) => Promise.reject(new Error(JSON.stringify(await inner('item').count()))))
          .catch(() => {});
        return 'all';
      }),
    );
    await step(async () => {
      const trx = await db.transaction();
      await trx('item').insert({ name: 'f' });
      const before = trx.isCompleted();
      await trx.commit();
      await trx.commit();
      await trx.rollback();
      return [before, trx.isCompleted(), await trx.executionPromise];
    });
    await step(async () => {
      const trx = await db.transaction();
      await trx.rollback();
      await trx('item').insert({ name: 'too late' });
    });
    await step(() => db('item').pluck('name').orderBy('id'));
  }));

test('schemas are built and altered as with the client of Knex', (t) =>
  compare(t, async (db, step) => {
    await makeItems(db);
    await db('item').insert([{ name: 'bolt' }, { name: 'nut' }]);
    await step(() => db.schema.hasTable('item'));
    await step(() => db.schema.hasColumn('item', 'size'));
    await step(() =>
      db.schema.createTable('tag', (table) => {
        table.integer('item').references('id').inTable('item').onDelete('CASCADE').notNullable();
        table.string('text').index();
        table.primary(['item', 'text']);
      }),
    );
    await db('tag').insert({ item: 1, text: 'steel' });
    await step(() => db.schema.alterTable('item', (table) => void table.string('colour').defaultTo('red')));
    await step(() => db.schema.alterTable('item', (table) => void table.string('name', 20).notNullable().alter()));
    await step(() => db.schema.alterTable('item', (table) => void table.dropColumn('data')));
    await step(() => db.schema.alterTable('item', (table) => void table.renameColumn('size', 'width')));
    await step(() => db.schema.alterTable('tag', (table) => void table.dropForeign('item')));
    await step(() => db.schema.alterTable('tag', (table) => void table.foreign('item').references('item.id')));
    await step(() => db.schema.alterTable('tag', (table) => void table.setNullable('text')));
    await step(() => db.schema.createView('names', (view) => view.as(db('item').select('name'))));
    await step(() => db('names').select());
    await step(() => db.schema.renameTable('tag', 'label'));
    await step(() => db('sqlite_master').select('type', 'name', 'sql').orderBy('name'));
    await step(() => db('label').select());
    await step(() => db('item').select());
    await step(() => db.schema.dropTableIfExists('label').dropViewIfExists('names'));
  }));

test('names and rows pass through the functions of the configuration as with the client of Knex', (t) =>
  compare(
    t,
    async (db, step) => {
      await makeItems(db);
      await step(() => db('item').insert({ name: 'bolt' }));
      await step(() => db('item').select('isNew', 'name'));
      await step(() => db('item').queryContext({ plain: true }).select('isNew'));
      await step(() => db.transaction(async (trx) => trx('item').first('isNew')));
      await step(() => db('item').columnInfo());
    },
    {
      debug: true,
      asyncStackTraces: true,
      wrapIdentifier: (value, original) => original(value.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)),
      postProcessResponse: (result: unknown, context: unknown) => ({ result, context }),
    },
  ));
