import test from 'ava';
import { type FakeHandle, fakePool } from '../support/driver.ts';
import { collected } from '../support/gc.ts';

/** Acquires and forgets the handle. Apart, so that no frame of a test keeps it. */
async function lose(acquire: () => Promise<FakeHandle>): Promise<void> {
  await acquire();
}

// Its release is then counted as a second one.
test('a listener that is told of a lost lease may take away what is overdue, that one too', async (t) => {
  const { pool, clock, driver } = fakePool(t, { max: 1 });
  const taken: number[] = [];
  pool.on('leak', () => taken.push(pool.closeOverdue(0)));
  await lose(() => pool.acquire());
  await clock.pass(1000);
  t.true(await collected(() => taken.length > 0));
  t.deepEqual(taken, [1]);
  t.like(pool.stats(), { leased: 0, size: 0, counters: { leaks: 1, released: 1, doubleReleases: 0 } });
  t.is(driver.connections.size, 0);
});
