import { spawn } from 'node:child_process';
import { extname } from 'node:path';
import { text } from 'node:stream/consumers';
import { inspect } from 'node:util';
import test from 'ava';
import { DrizzleQueryError } from 'drizzle-orm';
import { text as column, sqliteTable } from 'drizzle-orm/sqlite-core';
import knex from 'knex';
import { Kysely } from 'kysely';
import { Registry } from 'prom-client';
import { poolEventNames } from '../../lib/events.ts';
import { drizzle } from '../../lib/orm/drizzle.ts';
import { knexClient } from '../../lib/orm/knex.ts';
import { LeaseholdDialect } from '../../lib/orm/kysely.ts';
import { instrument } from '../../lib/telemetry/opentelemetry.ts';
import { collect } from '../../lib/telemetry/prometheus.ts';
import { watchChannel, watchTracing } from '../support/channels.ts';
import { temporaryFile } from '../support/files.ts';
import { metricsSdk, tracingSdk } from '../support/opentelemetry.ts';
import { libraryUrl, temporaryPool, wrong } from '../support/sqlite.ts';
import { failEverywhere, secret, traces } from './secret-load.ts';

/** All that can be made a text of, in the ways in which programs do so. */
function textOf(thing: unknown): string {
  const stack = thing instanceof Error ? `${thing.stack} ${thing.message} ${inspect(thing.cause)}` : '';
  return `${inspect(thing, { depth: Infinity, showHidden: true, maxArrayLength: Infinity })} ${jsonOf(thing)} ${stack}`;
}

function jsonOf(thing: unknown): string {
  try {
    return JSON.stringify(thing, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value)) ?? '';
  } catch {
    return '';
  }
}

function tracesIn(words: string): string[] {
  return traces
    .filter((trace) => trace.test(words))
    .map((trace) => words.slice(Math.max(0, words.search(trace) - 200)).slice(0, 400));
}

test('no value that is bound is in any error, event, message of a channel, span or metric, nor in what is inspected', async (t) => {
  const pool = temporaryPool(t, { max: 2, leakThreshold: 1, strictWrites: false });
  const { meterProvider, collect: collected } = metricsSdk(t);
  const { tracerProvider, spans } = tracingSdk(t);
  const registry = new Registry();
  instrument(pool, { meterProvider, tracerProvider });
  collect(pool, { registry });
  const told = [
    watchTracing(t, 'leasehold:acquire', pool).told,
    watchTracing(t, 'leasehold:transaction', pool).told,
    ...['connection:open', 'connection:close', 'connection:discard', 'lease:leak'].map((name) =>
      watchChannel(t, `leasehold:${name}`, pool),
    ),
  ];
  const events: unknown[] = [];
  const names = new Set<string>();
  for (const name of poolEventNames) {
    pool.on(name, (event: unknown) => {
      names.add(name);
      events.push(event);
    });
  }
  const said = await failEverywhere(pool);
  const metrics = [[...(await collected()).entries()], await registry.metrics()];
  await pool.close();
  const recorded = spans().map(({ name, attributes, events: exceptions, status }) => ({
    name,
    attributes,
    exceptions,
    status,
  }));

  const failures = said.filter((thing) => thing instanceof Error) as (Error & { code?: string })[];
  t.deepEqual(
    failures.filter((error) => error.message.startsWith('It did not fail')),
    [],
  );
  const codes = new Set(failures.map(({ code }) => code));
  for (const code of [
    'OPTIONS',
    'QUERY',
    'READ_ONLY',
    'SCOPE_ENDED',
    'WRITE_TIMEOUT',
    'WRITE_LOCKED',
    'TRANSACTION_ABORTED',
  ]) {
    t.true(codes.has(`ERR_LEASEHOLD_${code}`), code);
  }
  t.true(codes.has('SQLITE_CONSTRAINT_UNIQUE'));
  for (const name of ['dirty', 'timeout', 'acquire', 'wait', 'close']) t.true(names.has(name), name);
  t.true(recorded.length > 20 && told.every((each, index) => each.length > 0 || index > 3));
  const shown = [...said, ...events, ...told.flat(), ...recorded, ...metrics].map(textOf);
  t.deepEqual(shown.flatMap(tracesIn), []);
});

test('what SQLite says of a value stays in the error of SQLite', async (t) => {
  const pool = temporaryPool(t);
  const { tracerProvider, spans } = tracingSdk(t);
  instrument(pool, { tracerProvider });
  await pool.transaction((tx) =>
    tx.exec('CREATE TABLE item (name); CREATE TRIGGER no INSERT ON item BEGIN SELECT RAISE(ROLLBACK, NEW.name); END'),
  );
  const insert = async () => pool.run('INSERT INTO item VALUES (?)', [secret]);
  const said: unknown[] = [];
  for (const name of poolEventNames) pool.on(name, (event: unknown) => void said.push(event));
  const aborted = await t.throwsAsync(
    pool.transaction(async () => {
      t.true((await t.throwsAsync(insert())).message.includes(secret));
      await pool.run('SELECT 1');
    }),
    { code: 'ERR_LEASEHOLD_TRANSACTION_ABORTED' },
  );
  await t.throwsAsync(pool.transaction(insert), { message: secret });
  said.push(aborted.message, ...spans().map(({ attributes, events, status }) => ({ attributes, events, status })));
  t.true(spans().length >= 2);
  t.deepEqual(said.map(textOf).flatMap(tracesIn), []);
});

// Where `get`, `all` and `run` take values it takes a function.
test('values that are given to withStatement in the place of its function are not in the error', async (t) => {
  const pool = temporaryPool(t);
  for (const values of [secret, [secret], { a: secret }, Buffer.from(secret)]) {
    const error = await t.throwsAsync(pool.withStatement('SELECT ?', wrong(values)), { code: 'ERR_LEASEHOLD_OPTIONS' });
    t.deepEqual(tracesIn(textOf(error)), []);
  }
});

test('no value that is bound through Kysely, Drizzle or Knex is in what the pool says of it', async (t) => {
  const pool = temporaryPool(t, { leakThreshold: 1 });
  await pool.run('CREATE TABLE item (name TEXT UNIQUE)');
  const said: unknown[] = [];
  for (const name of poolEventNames) pool.on(name, (event: unknown) => void said.push(event));
  const told = watchTracing(t, 'leasehold:acquire', pool).told;
  const kysely = new Kysely<{ item: { name: string } }>({ dialect: new LeaseholdDialect({ pool }) });
  const items = sqliteTable('item', { name: column('name') });
  const db = drizzle(pool);
  // Unless it is told not to, Knex puts the query with its values before the message of any error.
  const client = knex({ client: knexClient(pool), useNullAsDefault: true, compileSqlOnError: false });
  t.teardown(() => client.destroy());
  const inserts: readonly (() => Promise<unknown>)[] = [
    () => kysely.insertInto('item').values({ name: secret }).execute(),
    () => db.insert(items).values({ name: secret }),
    () => client('item').insert({ name: secret }),
  ];
  await inserts[0]?.();
  for (const insert of inserts) {
    await t.throwsAsync(insert());
    await t.throwsAsync(pool.transaction(insert));
    const reading = await t.throwsAsync(pool.read(insert));
    // Drizzle puts an error of its own around it, with the values of the query.
    said.push(reading instanceof DrizzleQueryError ? reading.cause : reading);
  }
  said.push(pool.stats({ by: 'label' }), pool.leases(), ...told);
  t.true(said.length > 20);
  t.deepEqual(said.map(textOf).flatMap(tracesIn), []);
});

test('no value that is bound is in the log', async (t) => {
  const load = new URL(`./secret-load${extname(import.meta.url)}`, import.meta.url).href;
  const program = `
    import { createPool } from ${JSON.stringify(libraryUrl)};
    import { failEverywhere } from ${JSON.stringify(load)};
    const pool = createPool(process.argv[1], { max: 2, leakThreshold: 1 });
    await failEverywhere(pool);
    await pool.close();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, temporaryFile(t)], {
    env: { ...process.env, NODE_DEBUG: 'leasehold', NODE_OPTIONS: '' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.teardown(() => void child.kill());
  const log = await text(child.stderr);
  t.true(log.split('\n').length > 100, log);
  t.deepEqual(log.split('\n').flatMap(tracesIn), []);
});

test('the search finds what is there', (t) => {
  for (const thing of [
    { a: [secret] },
    new Error(secret),
    Buffer.from(secret),
    new Error('x', { cause: { value: Buffer.from(secret) } }),
    new Map([[1, 8_675_309_867n]]),
    { data: [...Buffer.from(secret)] },
    Buffer.from(secret).toString('base64'),
    Buffer.from(secret).toString('hex').toUpperCase(),
  ]) {
    t.true(tracesIn(textOf(thing)).length > 0, inspect(thing));
  }
});
