import test from 'ava';
import { browserTests } from '../../support/browser.ts';
import { hold, inspected, write } from './inspected.ts';
import { lanesOf, pointAt, pressUntil } from './lanes.ts';

const inBrowser = browserTests(test);

inBrowser('a lease is told of beside the pointer, and wholly after a click on it', async (t, open) => {
  const { pool, url } = await inspected(t, { leakThreshold: 60_000 }, { showSql: true });
  await pool.withConnection((db) => db.prepare('SELECT 41 + 1').get());
  await hold(t, pool, 'GET /orders');
  const { page, requests, troubles } = await open(url, { reducedMotion: 'no-preference' });
  const { x, y } = await pointAt(page, /^GET \/orderslease \d+, connection \d+.*held for .* so far, did not wait/);
  await page.mouse.click(x, y);
  const dialog = page.getByRole('dialog', { name: 'GET /orders' });
  await dialog.getByText('held still').waitFor();
  await dialog.getByRole('heading', { name: 'Acquired at' }).waitFor();
  await dialog.getByText(/at begun \(.*inspected\.(?:ts|js):/).waitFor();
  const [lease] = pool.leases();
  t.is(requests.at(-1), `GET /pool/lease?pool=${pool.id}&lease=${lease?.id}`);
  await dialog.getByRole('button', { name: 'Close' }).click();
  t.is(await page.getByRole('dialog').count(), 0);
  t.deepEqual(troubles, []);
});

inBrowser('a label is text beside the pointer, too', async (t, open) => {
  const { pool, url } = await inspected(t);
  await hold(t, pool, '<img src=x onerror=alert(1)>');
  const { page, troubles } = await open(url);
  await pointAt(page, /^<img src=x onerror=alert\(1\)>lease/);
  t.is(await page.locator('img').count(), 0);
  t.deepEqual(troubles, []);
});

inBrowser('by the keys alone one goes from lease to lease, hears of each, and reads all of one', async (t, open) => {
  const { pool, url } = await inspected(t);
  // Of one connection, one after the other.
  for (const label of ['GET /first', 'GET /second']) {
    const ended = await hold(t, pool, label);
    await ended.letGo();
  }
  await hold(t, pool, 'GET /held');
  await hold(t, pool, 'GET /beside');
  await write(t, pool, 'POST /writes');
  const { page, troubles } = await open(url);
  const lanes = lanesOf(page);
  await lanes.focus();
  // Writers have the first connection, which is the lane's own.
  // To the lowest lane first, from wherever one comes in before all of it is shown.
  await pressUntil(page, 'ArrowDown', /^GET \/beside, /);
  t.regex(await pressUntil(page, 'ArrowUp', /^GET \/held/), /connection \d+, held for .* so far, did not wait$/);
  await pressUntil(page, 'ArrowLeft', /^GET \/second, connection \d+, held .*, did not wait$/);
  await pressUntil(page, 'ArrowLeft', /^GET \/first, /);
  await pressUntil(page, 'ArrowRight', /^GET \/second, /);
  await pressUntil(page, 'Home', /^GET \/first, /);
  await pressUntil(page, 'End', /^GET \/held, /);
  await pressUntil(page, 'ArrowDown', /^GET \/beside, /);
  await pressUntil(page, 'ArrowUp', /^POST \/writes, .*write transaction$/);
  await pressUntil(page, 'ArrowUp', /^POST \/writes, write lane, held for .* so far$/);
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'POST /writes' });
  await dialog.getByText('held still').waitFor();
  // Nothing behind it can be reached.
  await page.keyboard.press('Tab');
  t.true(
    await page.evaluate(
      `document.activeElement.closest('dialog') !== null || document.activeElement === document.body`,
    ),
  );
  await page.keyboard.press('Escape');
  t.is(await page.getByRole('dialog').count(), 0);
  t.true(await lanes.evaluate((element) => element.matches(':focus')));
  await page.keyboard.press('Escape');
  t.is(await page.locator('#spoken').textContent(), '');
  t.deepEqual(troubles, []);
});

inBrowser('what is known no more is said so', async (t, open) => {
  const { pool, front, url } = await inspected(t);
  await hold(t, pool, 'GET /orders');
  const { page } = await open(url);
  const button = page.getByRole('region', { name: 'Held now' }).getByRole('button', { name: 'GET /orders' });
  front.refuse('lease', 404);
  await button.click();
  await page.getByRole('dialog').getByText('not known any more').waitFor();
  await page.keyboard.press('Escape');
  front.refuse('lease', 403);
  await button.click();
  await page.getByRole('dialog').getByText('status 403').waitFor();
  await page.keyboard.press('Escape');
  t.true(await button.evaluate((element) => element.matches(':focus')));
});
