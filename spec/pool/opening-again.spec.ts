import test from 'ava';
import { attempt, fakePool, TransientError } from '../support/driver.ts';
import { gate, settled } from '../support/gate.ts';

test('after a failure one tries for all who wait, and its success is that of the others', async (t) => {
  const { pool, driver, clock } = fakePool(t, { max: 4 });
  let isDown = true;
  let answer = gate();
  driver.beforeOpen = async () => {
    await answer.passed;
    if (isDown) throw new TransientError('starting up');
  };
  const waiting = Array.from({ length: 4 }, () => attempt(pool.acquire()));
  t.is(driver.opens, 4, 'as long as nothing has failed, each has its own');
  answer.open();
  await settled();
  answer = gate();
  await clock.pass(50);
  t.is(driver.opens, 5);
  isDown = false;
  answer.open();
  await settled();
  t.is(driver.opens, 8);
  t.deepEqual(
    waiting.map(({ handle }) => handle?.use()),
    [5, 6, 7, 8],
  );
});

test('however long it lasts, there is one attempt after each pause', async (t) => {
  const { pool, driver, clock } = fakePool(t, { max: 8, acquireTimeout: Infinity });
  driver.beforeOpen = () => Promise.reject(new TransientError('down'));
  const waiting = Array.from({ length: 20 }, () => attempt(pool.acquire()));
  await settled();
  const first = driver.opens;
  for (let second = 0; second < 10; second++) await clock.pass(1000);
  t.true(driver.opens - first <= 30, `${driver.opens - first} attempts in 10 s`);
  driver.beforeOpen = () => {};
  await clock.pass(1000);
  t.is(waiting.filter(({ handle }) => handle !== undefined).length, 8);
  void pool.close({ timeout: 0 });
  await settled();
});
