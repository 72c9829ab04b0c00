import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Cache } from 'drizzle-orm/cache/core';
import { drizzle, migrate } from '../../lib/orm/drizzle.ts';
import { temporaryDirectory } from '../support/files.ts';
import { refusal } from '../support/items.ts';
import { temporaryPool } from '../support/sqlite.ts';
import { customers, openShop } from './drizzle-shop.ts';

class FailingCache extends Cache {
  readonly failure = new Error('The cache can not be reached');

  override strategy(): 'all' {
    return 'all';
  }

  override get(): Promise<never> {
    return Promise.reject(this.failure);
  }

  override async put(): Promise<void> {}

  override async onMutate(): Promise<void> {}
}

test('what a cache fails with passes through as it is: nothing was asked of SQLite', async (t) => {
  const cache = new FailingCache();
  const { db, pool } = await openShop(t, {}, { cache });
  const error = await t.throwsAsync(db.select().from(customers).execute());
  t.is(error, cache.failure);
  t.like(pool.stats(), { leased: 0 });
});

test.serial('with `logger: true` each query is printed, as with any driver of Drizzle', async (t) => {
  const lines: unknown[] = [];
  const print = console.log;
  console.log = (line: unknown) => lines.push(line);
  try {
    const { db } = await openShop(t, {}, { logger: true });
    lines.length = 0;
    await db.select({ id: customers.id }).from(customers);
  } finally {
    console.log = print;
  }
  t.deepEqual(lines, ['Query: select "id" from "customer"']);
});

test('a transaction that has ended begins no part of it, though its connection goes on', async (t) => {
  const { db, pool } = await openShop(t);
  await pool.withConnection(async () => {
    const over = await db.transaction(async (tx) => [tx]);
    let ran = false;
    const part = over[0]?.transaction(async () => {
      ran = true;
    });
    await t.throwsAsync(part as Promise<void>, refusal('TRANSACTION_ENDED'));
    t.false(ran);
    t.is((await db.select().from(customers)).length > 0, true);
  });
});

test('where foreign keys are off, migrations are applied without a look at what they refer to', async (t) => {
  const pool = temporaryPool(t, { pragmas: { foreign_keys: false } });
  const migrationsFolder = temporaryDirectory(t);
  mkdirSync(join(migrationsFolder, 'meta'));
  writeFileSync(
    join(migrationsFolder, '0000_step.sql'),
    'CREATE TABLE a (id INTEGER PRIMARY KEY);\n--> statement-breakpoint\n' +
      'CREATE TABLE b (a INTEGER REFERENCES a (id));\n--> statement-breakpoint\nINSERT INTO b VALUES (7);',
  );
  const entries = [{ idx: 0, version: '6', when: 1_700_000_000_000, tag: '0000_step', breakpoints: true }];
  const journal = { version: '7', dialect: 'sqlite', entries };
  writeFileSync(join(migrationsFolder, 'meta', '_journal.json'), JSON.stringify(journal));
  await migrate(drizzle(pool), { migrationsFolder });
  t.deepEqual(await pool.all('SELECT a FROM b'), [{ a: 7 }]);
  t.deepEqual(await pool.get('PRAGMA foreign_keys'), { foreign_keys: 0 });
});
