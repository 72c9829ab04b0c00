import test from 'ava';
import { attempt, FakeDriver, fakePool } from '../support/driver.ts';
import { gate, settled } from '../support/gate.ts';

/** A driver that opens and closes as one of a server would: by promises. */
function asyncDriver(): FakeDriver {
  const driver = new FakeDriver();
  driver.beforeOpen = () => Promise.resolve();
  driver.beforeClose = () => Promise.resolve();
  return driver;
}

test('a connection on its way from the driver counts at every step', async (t) => {
  for (let steps = 0; steps < 20; steps++) {
    const { pool, driver } = fakePool(t, { max: 1 }, asyncDriver());
    const first = attempt(pool.acquire());
    for (let step = 0; step < steps; step++) await Promise.resolve();
    t.is(pool.stats().size, 1, `after ${steps} steps`);
    const second = attempt(pool.acquire());
    await settled();
    t.is(driver.opens, 1);
    t.deepEqual([first.state, second.state], ['granted', 'waiting']);
    await first.handle?.release();
    await settled();
    await second.handle?.release();
  }
});

test('close waits for a connection at every step of its way from the driver', async (t) => {
  for (let steps = 0; steps < 20; steps++) {
    const { pool, driver } = fakePool(t, { max: 1 }, asyncDriver());
    void attempt(pool.acquire());
    for (let step = 0; step < steps; step++) await Promise.resolve();
    await pool.close({ timeout: 0 });
    t.is(driver.connections.size, 0, `after ${steps} steps`);
  }
});

test('a smaller max closes as many as are too many, however long a close takes', async (t) => {
  const { pool, driver } = fakePool(t, { max: 8, min: 8 }, asyncDriver());
  await pool.ready();
  const slow = gate();
  driver.beforeClose = () => slow.passed;
  pool.resize({ max: 6 });
  slow.open();
  await settled();
  t.like(pool.stats(), { size: 6, idle: 6 });
});

test('leases that come back together to a smaller max close no more than are too many', async (t) => {
  const { pool, driver } = fakePool(t, { max: 4 }, asyncDriver());
  const handles = await Promise.all(Array.from({ length: 4 }, () => pool.acquire()));
  const slow = gate();
  driver.beforeClose = () => slow.passed;
  pool.resize({ max: 2 });
  for (const handle of handles) void handle.release();
  slow.open();
  await settled();
  t.like(pool.stats(), { size: 2, idle: 2 });
});

test('the idle timeout keeps min connections, however long a close takes', async (t) => {
  const { pool, driver, clock } = fakePool(t, { max: 6, min: 3, idleTimeout: 1000 }, asyncDriver());
  const handles = await Promise.all(Array.from({ length: 6 }, () => pool.acquire()));
  for (const handle of handles) void handle.release();
  const slow = gate();
  driver.beforeClose = () => slow.passed;
  await clock.pass(2000);
  slow.open();
  await settled();
  t.like(pool.stats(), { size: 3, idle: 3 });
});
