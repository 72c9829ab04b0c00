import { setImmediate, setTimeout } from 'node:timers/promises';
import test from 'ava';
import { poolSettings } from '../../lib/options.ts';
import { ScopedPool } from '../../lib/scoped-pool.ts';
import { FakeDriver, type FakeHandle } from '../support/driver.ts';

const acquires = 10_000;

/** Holds a connection for a moment, and gives it back: clean or dirty, once or twice. */
async function hold(db: FakeHandle): Promise<void> {
  db.use();
  const luck = Math.random();
  if (luck < 0.02) db.soil('pragma');
  if (luck < 0.3) await setTimeout(1);
  else if (luck < 0.6) await setImmediate();
  db.use();
  const returning = db.release();
  if (luck > 0.9) void db.release();
  await returning;
}

for (const asynchronous of [false, true]) {
  const how = asynchronous ? 'an asynchronous' : 'a synchronous';

  test(`${acquires} acquires that race their timeouts and aborts on ${how} driver each settle once and lose no slot`, async (t) => {
    const driver = new FakeDriver();
    if (asynchronous) {
      driver.beforeOpen = () => setTimeout(1);
      driver.beforeReclaim = () => (Math.random() < 0.2 ? setImmediate() : undefined);
      driver.beforeClose = () => setImmediate();
    }
    const pool = new ScopedPool(driver, poolSettings({ max: 5, maxWaiting: Infinity }, { name: 'storm', max: 5 }));
    const outcomes = new Map<string, number>();
    const count = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);

    const request = async () => {
      const controller = new AbortController();
      const options = { timeout: 1 + Math.random() * 40, priority: Math.floor(Math.random() * 3) };
      const acquiring = pool.acquire({ ...options, signal: controller.signal });
      if (Math.random() < 0.3) void setTimeout(Math.random() * 20).then(() => controller.abort());
      try {
        await hold(await acquiring);
        count('served');
      } catch (error) {
        count((error as { code: string }).code);
      }
    };

    const all: Promise<void>[] = [];
    while (all.length < acquires) {
      for (let index = 0; index < 50; index++) all.push(request());
      await setImmediate();
    }
    await Promise.all(all);
    // A connection may still be on its way: opened for somebody who gave up, or closing because it came back dirty.
    for (let round = 0; round < 1000 && pool.stats().idle < pool.stats().size; round++) await setTimeout(1);

    const { counters, ...gauges } = pool.stats();
    const { served = 0, ABORT_ERR = 0, ERR_LEASEHOLD_ACQUIRE_TIMEOUT = 0, ...others } = Object.fromEntries(outcomes);
    t.deepEqual(others, {});
    t.is(served + ABORT_ERR + ERR_LEASEHOLD_ACQUIRE_TIMEOUT, acquires);
    t.true(served > 0 && ABORT_ERR > 0 && ERR_LEASEHOLD_ACQUIRE_TIMEOUT > 0, JSON.stringify([...outcomes]));
    t.like(counters, {
      acquired: served,
      released: served,
      aborted: ABORT_ERR,
      timeouts: ERR_LEASEHOLD_ACQUIRE_TIMEOUT,
      refused: 0,
    });
    t.like(gauges, { leased: 0, waiting: 0, idle: gauges.size });
    t.is(driver.connections.size, gauges.size);
    t.deepEqual(driver.faults, []);
    await pool.close();
    t.is(driver.connections.size, 0);
  });
}
