import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { temporaryFile } from '../support/files.ts';
import { libraryUrl } from '../support/sqlite.ts';

// Node.js carries the async context in one of two ways, which differ in what `enterWith` reaches.

const adapterUrl = new URL(`../../lib/orm/kysely${extname(import.meta.url)}`, import.meta.url).href;

const program = `
  import { strictEqual } from 'node:assert';
  import { Kysely } from ${JSON.stringify(import.meta.resolve('kysely'))};
  import { createPool } from ${JSON.stringify(libraryUrl)};
  import { LeaseholdDialect } from ${JSON.stringify(adapterUrl)};
  const pool = createPool(process.argv[1], { acquireTimeout: 10_000 });
  const db = new Kysely({ dialect: new LeaseholdDialect({ pool }) });
  await db.schema.createTable('item').addColumn('name', 'text').execute();
  const add = (on, name) => on.insertInto('item').values({ name }).execute();
  const names = async (on) => (await on.selectFrom('item').select('name').orderBy('name').execute()).map((row) => row.name).join('');
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  const one = (name) => db.transaction().execute(async (trx) => {
    await add(trx, name);
    await turn();
    await add(db, name);
    await turn();
    await pool.run('INSERT INTO item VALUES (?)', [name]);
    strictEqual((await names(db)).split(name).length, 4);
    strictEqual(pool.stats().leased, 1);
  });
  const running = [one('a'), one('b')];
  strictEqual(pool.current, undefined);
  await Promise.all(running);
  strictEqual(pool.current, undefined);
  await add(db, 'c');

  await db.connection().execute(async (kept) => {
    await kept.transaction().execute((trx) => add(trx, 'd'));
    strictEqual(pool.current, undefined);
    await add(db, 'e');
  });
  const controlled = await db.startTransaction().execute();
  await add(controlled, 'f');
  strictEqual(pool.current, undefined);
  strictEqual(await names(db), 'aaabbbcde');
  await controlled.rollback().execute();

  let seen = '';
  await db.transaction().execute(async () => {
    for await (const { name } of db.selectFrom('item').select('name').orderBy('name').stream(2)) {
      seen += name;
      await add(db, 'x');
    }
  });
  strictEqual(seen, 'aaabbbcde');
  let left;
  await db.transaction().execute(async () => {
    left = turn().then(() => add(db, 'y')).catch((error) => error.code);
  });
  strictEqual(await left, 'ERR_LEASEHOLD_TRANSACTION_ENDED');
  strictEqual(await names(db), 'aaabbbcdexxxxxxxxx');
  await db.destroy();
  console.log('done');`;

for (const flag of ['--async-context-frame', '--no-async-context-frame']) {
  test(`who is inside a transaction is told alike with ${flag}`, async (t) => {
    const isKnown = process.allowedNodeEnvironmentFlags.has(flag);
    const args = [...(isKnown ? [flag] : []), '--input-type=module', '-e', program, temporaryFile(t)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    t.teardown(() => void child.kill('SIGKILL'));
    const [told, complaints, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    t.is(complaints.replaceAll(/.*ExperimentalWarning.*\n|\(Use `node .*\n/g, ''), '');
    t.is(told, 'done\n');
    t.is(code, 0);
  });
}
