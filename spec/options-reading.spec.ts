import test from 'ava';
import { openItems } from './support/items.ts';

test('what an options object throws when it is read passes through unchanged, and nothing is taken or run', async (t) => {
  const pool = await openItems(t);
  const { acquired } = pool.stats().counters;
  const failure = new TypeError('no such thing');
  const options = {
    get label(): string {
      throw failure;
    },
  };
  const calls = {
    run: () => pool.run("INSERT INTO item VALUES ('nut')", [], options),
    get: () => pool.get('SELECT 1', [], options),
    acquire: () => pool.acquire(options),
    withConnection: () => pool.withConnection(() => {}, options),
    transaction: () => pool.transaction(() => {}, options),
  };
  for (const [name, call] of Object.entries(calls)) t.is(await t.throwsAsync<Error>(call), failure, name);
  t.like(pool.stats(), { leased: 0, laneHeld: 0, counters: { acquired } });
  t.deepEqual(await pool.all('SELECT * FROM item'), []);
});
