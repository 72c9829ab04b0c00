import test, { type ExecutionContext } from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import type { Report } from '../../lib/inspector/wire.ts';
import type { Inspector } from '../../lib/inspector.ts';
import { FakeClock } from '../support/clock.ts';
import { gate, settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';
import { ask, here, inspect } from './support/serve.ts';
import { stillPool, watch } from './support/watched.ts';

// No text of a statement without `showSql`, and never what is bound to one.

/** In the text of statements. */
const inSql = 'marker_of_sql';
/** Bound to statements. */
const bound = 'marker_of_values';
/** In errors of hooks and listeners, which nobody knows what they say. */
const inErrors = 'marker_of_errors';

/** All that an inspector has to tell, at one moment. */
async function toldBy(page: Inspector): Promise<string> {
  const texts: string[] = [];
  const get = async (path: string): Promise<string> => {
    const text = await (await page(ask(path), here)).text();
    texts.push(text);
    return text;
  };
  const report = JSON.parse(await get('/data')) as Report;
  for (const { id, holders, longest } of report.pools) {
    for (const { lease } of [...holders, ...longest]) await get(`/lease?pool=${id}&lease=${lease}`);
    for (let lease = 1; lease < 30; lease++) await get(`/lease?pool=${id}&lease=${lease}`);
  }
  const stream = (await page(ask('/events'), here)).body?.getReader();
  for (let chunk = 0; chunk < 2; chunk++) texts.push(Buffer.from((await stream?.read())?.value ?? []).toString());
  await stream?.cancel();
  return texts.join('\n');
}

function quiet(): void {}

/** Does all that may have a statement or a value in a message, and calls `look` while a lease is held by each. */
async function misbehave(pool: SqlitePool, look: () => Promise<void>): Promise<void> {
  await pool.run(`CREATE TABLE ${inSql} (name TEXT UNIQUE, n INTEGER CHECK (n > 0))`);
  await pool.run(`INSERT INTO ${inSql} (name) VALUES (?)`, [bound]);
  await pool.run(`INSERT INTO ${inSql} (name) VALUES (?)`, [bound]).catch(quiet);
  await pool.run(`INSERT INTO ${inSql} (n) VALUES (?)`, [-1]).catch(quiet);
  await pool.run(`THIS IS NO ${inSql}`).catch(quiet);
  await pool.all(`SELECT * FROM ${inSql}_that_is_none`).catch(quiet);
  await pool.all(`SELECT * FROM ${inSql} WHERE name = :name`, { name: bound });
  await pool.withConnection(async (db) => {
    db.prepare(`SELECT ? AS ${inSql}`).get(bound);
    await look();
    // The name of a table is told, in what was left behind.
    db.exec(`CREATE TEMP TABLE scratch (x TEXT DEFAULT '${inSql}')`);
    await look();
    db.pragma(`user_version = 3 -- ${inSql}`);
    db.function('scratch_function', () => bound);
    // Left open, and an iterator with it.
    db.exec(`BEGIN; INSERT INTO ${inSql} (name) VALUES ('${inSql}')`);
    db.prepare(`SELECT name, ? FROM ${inSql}`).iterate(bound).next();
    await look();
  });
  await pool
    .transaction(async (tx) => {
      tx.prepare(`INSERT INTO ${inSql} (name) VALUES (?)`).run(`${bound}2`);
      await pool.transaction((inner) => inner.prepare(`INSERT INTO ${inSql} (name) VALUES (?)`).run(bound));
    })
    .catch(quiet);
  const held = gate();
  const writer = pool.transaction(async (tx) => {
    tx.prepare(`INSERT INTO ${inSql} (name) VALUES (?)`).run(`${bound}3`);
    await held.passed;
  });
  const waiting = pool.run(`INSERT INTO ${inSql} (name) VALUES (?)`, [`${bound}4`], { timeout: 30 });
  await settled();
  await look();
  await waiting.catch(quiet);
  held.open();
  await writer;
  const forgotten = await pool.acquire();
  forgotten.prepare(`SELECT '${inSql}', ?`).get(bound);
  pool.closeOverdue(0);
  pool.on('release', () => {
    throw new Error(`${inErrors} ${inSql} ${bound}`);
  });
  await pool.withConnection((db) => db.prepare(`SELECT '${inSql}', ?`).get(bound));
  await look();
}

async function tell(t: ExecutionContext, showSql: boolean | undefined): Promise<string> {
  let isFailing = false;
  const pool = temporaryPool(t, {
    leakThreshold: 1,
    name: 'app',
    onAcquire: (db) => {
      db.prepare(`SELECT ? AS ${inSql}_hook`).get(bound);
      if (!isFailing) return true;
      isFailing = false;
      throw Object.assign(new Error(`${inErrors} ${inSql} ${bound}`), { code: 'E_HOOK', name: 'HookError' });
    },
    onRelease: (db) => {
      db.prepare(`SELECT ? AS ${inSql}_hook`).get(bound);
    },
  });
  const page = inspect(t, pool, { showSql });
  let all = '';
  await misbehave(pool, async () => {
    all += await toldBy(page);
  });
  isFailing = true;
  await pool.withConnection(() => {});
  // What goes wrong is told with a tick.
  while (!/"kind":"error"/.test(all)) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    all += await toldBy(page);
  }
  await pool.close();
  all += await toldBy(page);
  return all;
}

test('without showSql no text of a statement is in anything that is told, and never a value', async (t) => {
  const all = await tell(t, undefined);
  for (const marker of [inSql, bound, inErrors]) t.false(all.includes(marker), around(all, marker));
  t.notRegex(all, /\bSELECT\b|\bINSERT\b|"sql"/, around(all, '"sql"'));
  t.true(all.includes('"showsSql":false'));
  // What there is to tell is told all the same.
  for (const kind of ['dirty', 'discard', 'error', 'timeout']) t.true(all.includes(`"kind":"${kind}"`), kind);
  t.regex(all, /HookError \(E_HOOK\)/);
});

test('with showSql the text of the last statement is told of each lease, and still no value', async (t) => {
  const all = await tell(t, true);
  t.true(all.includes('"showsSql":true'));
  t.true(all.includes(`"sql":"SELECT ? AS ${inSql}"`));
  t.true(all.includes(`"sql":"INSERT INTO ${inSql} (name) VALUES (?)"`));
  for (const marker of [bound, inErrors]) t.false(all.includes(marker), around(all, marker));
  // Messages hold none, only the field for it.
  const messages = [...all.matchAll(/"message":"((?:[^"\\]|\\.)*)"/g)].map(([, message = '']) => message);
  t.true(messages.length > 0);
  for (const message of messages) t.false(message.includes(inSql), message);
});

test('of a long statement the beginning is told', async (t) => {
  const pool = temporaryPool(t);
  const page = inspect(t, pool, { showSql: true });
  const report = async () => (await (await page(ask('/data'), here)).json()) as Report;
  await pool.withConnection(async (db) => {
    db.exec(`SELECT 1 -- ${'x'.repeat(1e6)}`);
    const sql = (await report()).pools[0]?.holders[0]?.sql ?? '';
    t.true(sql.startsWith('SELECT 1 -- xxx') && sql.length < 5000);
  });
  const { length } = await (await page(ask('/data'), here)).text();
  t.true(length < 20_000);
});

function around(text: string, marker: string): string {
  const at = text.indexOf(marker);
  return at === -1 ? '' : text.slice(Math.max(at - 300, 0), at + 100);
}

for (const hook of ['onAcquire', 'onOpen'] as const) {
  test(`what an ${hook} hook fails with is in no note, though it is in the messages of errors`, async (t) => {
    const clock = new FakeClock();
    const messages: string[] = [];
    let isFailing = false;
    const fail = (): void => {
      if (isFailing) throw new Error(`${inErrors} ${inSql} ${bound}`);
    };
    const pool = await stillPool(t, { min: 1, idleTimeout: 1000, [hook]: fail }, clock);
    await pool.ready();
    for (const name of ['error', 'timeout'] as const)
      pool.on(name, (event) => void messages.push((event instanceof Error ? event : event.error).message));
    const { tick } = watch(t, [pool], clock);
    isFailing = true;
    pool.closeIdle();
    const late = Promise.allSettled([pool.acquire({ timeout: 50 })]);
    await clock.pass(10_000);
    await late;
    const { report, ticks } = await tick();
    t.true(
      messages.some((message) => message.includes(inErrors)),
      messages.join('\n'),
    );
    t.true(ticks.some(({ pools }) => pools.some(({ notes }) => notes.length > 0)));
    for (const marker of [inErrors, inSql, bound]) t.false(JSON.stringify([report, ticks]).includes(marker), marker);
  });
}
