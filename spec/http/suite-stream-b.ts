import { buffer } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { namesIn, openItems, refusal } from '../support/items.ts';
import type { Framework } from './frameworks-b.ts';
import { held, insertHere, isIdle } from './support-b.ts';

// More than any buffer on the way holds, so that the reading is taken up again by whoever has made room.
const [rows, size] = [64, 65_536];

/** A piece for each of many rows, read from the connection of the request when it is asked for. */
async function* fromRows(t: ExecutionContext, pool: SqlitePool, connection: number | undefined) {
  for (let row = 0; row < rows; row++) {
    if (connection !== undefined) t.deepEqual(held(pool), [connection]);
    const letter = String.fromCodePoint(97 + (row % 26));
    yield pool.db.prepare(`SELECT printf('%.*c', ${size}, ?)`).pluck().get(letter) as string;
  }
}

/** What must hold of bodies that are streamed, whatever the framework. */
export function streamSuite(framework: Framework): void {
  const { name } = framework;

  test(`${name}: a streamed body reads all it sends by the connection that its request has`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const { acquired } = pool.stats().counters;
    const site = await framework.serve(t, pool, {}, async () => {
      await pool.connection();
      return { pieces: fromRows(t, pool, held(pool)[0]) };
    });
    const answer = await fetch(site.url);
    const sent = Buffer.from(await answer.arrayBuffer());
    t.is(sent.length, rows * size);
    t.deepEqual(sent.subarray(-3).toString(), String.fromCodePoint(97 + ((rows - 1) % 26)).repeat(3));
    await isIdle(t, pool);
    t.is(pool.stats().counters.acquired, acquired + 1);
    t.deepEqual(site.errors, []);
  });

  test(`${name}: a streamed body binds a connection by itself, and holds it to its end`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const { acquired } = pool.stats().counters;
    const rest = gate();
    const late = async function* late() {
      yield 'first;';
      await pool.connection();
      yield 'second;';
      await rest.passed;
      yield pool.db.prepare("SELECT '3;'").pluck().get() as string;
    };
    const site = await framework.serve(t, pool, {}, async () => ({ pieces: late() }));
    const answer = await fetch(site.url);
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('second;')) text += (await reader?.read())?.value ?? '';
    t.is(held(pool).length, 1);
    rest.open();
    while (!text.includes('3;')) text += (await reader?.read())?.value ?? '';
    t.true((await reader?.read())?.done);
    t.is(text, 'first;second;3;');
    await isIdle(t, pool);
    t.is(pool.stats().counters.acquired, acquired + 1);
  });

  test(`${name}: two bodies that are streamed at the same time read by their own connections`, async (t) => {
    const pool = await openItems(t);
    const both = gate();
    let begun = 0;
    const site = await framework.serve(t, pool, { eager: true }, async () => {
      const mine = ++begun;
      pool.db.exec(`CREATE TEMP TABLE mine AS SELECT '${mine}' AS n`);
      const pieces = async function* pieces() {
        if (begun === 2) both.open();
        await both.passed;
        for (let round = 0; round < 100; round++) {
          yield pool.db.prepare('SELECT n FROM temp.mine').pluck().get() as string;
          await new Promise(setImmediate);
        }
      };
      return { pieces: pieces() };
    });
    const answers = await Promise.all([fetch(site.url), fetch(site.url)]);
    const texts = await Promise.all(answers.map((answer) => answer.text()));
    t.deepEqual(texts.toSorted(), ['1'.repeat(100), '2'.repeat(100)]);
    await isIdle(t, pool);
  });

  test(`${name}: a streamed body that fails in the middle gives the connection back`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const failing = async function* failing() {
      yield pool.db.prepare("SELECT 'first;'").pluck().get() as string;
      throw new Error('failed');
    };
    const site = await framework.serve(t, pool, { eager: true }, async () => ({ pieces: failing() }));
    const answer = await fetch(site.url);
    t.is(answer.status, 200);
    await t.throwsAsync(answer.text());
    await isIdle(t, pool);
  });

  test(`${name}: a stream that its reader leaves early gives the connection back`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const site = await framework.serve(t, pool, {}, async () => {
      await pool.connection();
      return { pieces: fromRows(t, pool, undefined) };
    });
    const client = new AbortController();
    const answer = await fetch(site.url, { signal: client.signal });
    await answer.body?.getReader().read();
    client.abort();
    await isIdle(t, pool);
    t.is(pool.stats().counters.dirty, 0);
  });

  test(`${name}: what a transaction has written is committed before its streamed body is read, which is no part of it`, async (t) => {
    const pool = await openItems(t);
    const [reading, begin] = [gate(), gate()];
    const site = await framework.serve(t, pool, { transactional: {} }, async () => {
      insertHere(pool, 'kept');
      const pieces = async function* pieces() {
        reading.open();
        await begin.passed;
        // On a connection of the request that is not the transaction's.
        const db = await pool.connection();
        t.false(db.inTransaction);
        yield JSON.stringify(pool.db.prepare('SELECT name FROM item').pluck().all());
        t.is(pool.stats().laneHeld, 0);
      };
      return { pieces: pieces() };
    });
    const coming = fetch(site.url).then((answer) => answer.text());
    await reading.passed;
    t.deepEqual(await namesIn(pool), ['kept']);
    begin.open();
    t.is(await coming, '["kept"]');
    await isIdle(t, pool);
    t.deepEqual(site.errors, []);
  });

  test(`${name}: a stream that goes on when its client is gone is refused`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const [begun, gone] = [gate(), gate()];
    const refused = gate<unknown>();
    const pieces = async function* pieces() {
      yield 'first;';
      begun.open();
      await gone.passed;
      refused.open(t.throws(() => pool.db.prepare('SELECT 1').get()));
      yield 'last;';
    };
    const site = await framework.serve(t, pool, { eager: true }, async () => ({ pieces: pieces() }));
    const client = new AbortController();
    const answer = await fetch(site.url, { signal: client.signal });
    const reader = answer.body?.getReader();
    await reader?.read();
    await begun.passed;
    client.abort();
    await isIdle(t, pool);
    gone.open();
    t.like(await refused.passed, refusal('SCOPE_ENDED'));
    await isIdle(t, pool);
  });

  test(`${name}: a large body that is sent back as it comes in passes through`, async (t) => {
    const pool = await openItems(t, { max: 1 });
    const site = await framework.serve(t, pool, { eager: true }, async ({ body }) => {
      const sent = await body();
      return { pieces: [sent, String(pool.db.prepare('SELECT 1').pluck().get())].values() as never };
    });
    const answer = await fetch(site.url, { method: 'POST', body: 'x'.repeat(2 ** 20) });
    t.is((await buffer(answer.body as never)).length, 2 ** 20 + 1);
    await isIdle(t, pool);
  });
}
