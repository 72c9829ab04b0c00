import test from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { openItems } from '../support/items.ts';

// Work that outlives its transaction, and finds other ways to the file than the connection it had.

const itemsIn = (pool: SqlitePool) => pool.all('SELECT name FROM item');
const write = "INSERT INTO item VALUES ('never')";
const ended = { code: 'ERR_LEASEHOLD_TRANSACTION_ENDED' };

/** Ways to be in a transaction of `pool` with scopes of another pool around or within. */
const arrangements: Record<string, (pool: SqlitePool, other: SqlitePool, inner: () => void) => Promise<void>> = {
  'an unbound transaction in another’s scope': (pool, other, inner) =>
    other.withConnection(() => pool.transaction(inner)),
  'an unbound transaction with another’s in it': (pool, other, inner) =>
    pool.transaction(() => other.transaction(inner)),
  'a bound transaction in another’s scope': (pool, other, inner) =>
    pool.withConnection(() => other.withConnection(() => pool.transaction(inner))),
  'a bound transaction with another’s in it': (pool, other, inner) =>
    pool.withConnection(() => pool.transaction(() => other.transaction(inner))),
  'a bound transaction with another’s scope in it': (pool, other, inner) =>
    pool.withConnection(() => pool.transaction(() => other.withConnection(inner))),
};

for (const [name, arrange] of Object.entries(arrangements)) {
  test(`what outlives ${name} never commits by itself`, async (t) => {
    const [pool, other] = [await openItems(t), await openItems(t)];
    const over = gate();
    let escaped: Promise<unknown> | undefined;
    await arrange(pool, other, () => {
      escaped = over.passed.then(() => t.throwsAsync(() => pool.run(write)));
    });
    over.open();
    await escaped;
    t.deepEqual(await itemsIn(pool), []);
  });
}

test('what outlives a bound transaction and its scope does not get in by way of another pool’s scope', async (t) => {
  const [pool, other] = [await openItems(t), await openItems(t)];
  const over = gate();
  let escaped: Promise<unknown> | undefined;
  await pool.withConnection(() =>
    pool.transaction(() => {
      escaped = over.passed.then(() => other.withConnection(() => t.throwsAsync(() => pool.run(write))));
    }),
  );
  over.open();
  await escaped;
  t.deepEqual(await itemsIn(pool), []);
});

test('what outlives a transaction is refused at once, though its write would have to wait its turn', async (t) => {
  const pool = await openItems(t);
  const over = gate();
  let escaped: Promise<unknown> | undefined;
  await pool.withConnection(async () => {
    await pool.transaction(() => {
      escaped = over.passed.then(() => t.throwsAsync(() => pool.run(write, [], { timeout: 50 }), ended));
    });
    const writer = await pool.acquire({ write: true });
    over.open();
    await escaped;
    writer.close();
  });
  t.deepEqual(await itemsIn(pool), []);
});
