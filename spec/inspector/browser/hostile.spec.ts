import test from 'ava';
import type { Page } from 'playwright-core';
import { browserTests } from '../../support/browser.ts';
import { hold, inspected, write } from './inspected.ts';

const inBrowser = browserTests(test);

const image = '<img src=x onerror=alert(1)>';
const script = '"><script>alert(2)</script>';
const turned = 'invoice \u202Efdp.exe';
const long = 'x'.repeat(10_000);
const nul = 'before\u0000after';
const emoji = '👩‍👩‍👧 family';
const labels = [image, script, turned, long, nul, emoji, '__proto__', '', 'one\ntwo'];

/** Elements of the page by what they are. */
function elements(page: Page): Promise<string[]> {
  return page.evaluate(`[...document.querySelectorAll('*')].map((element) => element.localName).sort()`);
}

/** How much wider the page is than what is seen of it. */
function overhang(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
}

inBrowser('names and labels are texts wherever they are shown, and what they hold is never run', async (t, open) => {
  const { pool, url } = await inspected(
    t,
    { name: script, max: labels.length, leakThreshold: 60_000 },
    { showSql: true },
  );
  // Some have ended, so that they are in all of the tables; all are held as well.
  for (const label of labels) {
    await pool.withConnection((db) => db.prepare(`SELECT '</script>${image}'`).get(), { label });
    await t.throwsAsync(pool.withConnection(() => Promise.reject(new Error(image)), { label }));
  }
  const writer = await write(t, pool, image);
  await t.throwsAsync(pool.transaction(() => {}, { label: script, timeout: 1 }));
  await writer.letGo();
  for (const label of labels) await hold(t, pool, label);
  const { page, requests, troubles } = await open(url);
  const held = page.getByRole('region', { name: 'Held now' });
  await held.getByRole('button', { name: image }).waitFor();
  await held.getByRole('button', { name: script }).waitFor();
  await held.getByRole('button', { name: 'before after' }).waitFor();
  await held.getByRole('button', { name: emoji }).waitFor();
  await held.getByRole('button', { name: '__proto__' }).waitFor();
  await page.getByText('The same as a table').click();
  await page.locator('#list').getByRole('button', { name: image }).first().waitFor();
  await page.getByRole('heading', { level: 1, name: script }).waitFor();
  t.false((await elements(page)).includes('img'));
  // What turns the direction of text would turn what is beside it, too.
  const texts = (await page.locator('header, main').allTextContents()).join();
  t.false(texts.includes('\u0000'));
  t.notRegex(texts, /\p{Bidi_Control}/u);
  t.true((await page.title()).startsWith(script));
  for (const label of [image, script]) {
    await held.getByRole('button', { name: label }).click();
    const dialog = page.getByRole('dialog', { name: label });
    await dialog
      .getByText('Last used')
      .or(dialog.getByText('Connection', { exact: true }))
      .waitFor();
    await dialog.getByRole('button', { name: 'Close' }).click();
  }
  t.deepEqual(troubles, []);
  const parts = requests.map((request) => request.replace(/\?.*/, ''));
  t.deepEqual(
    // Asked for where the machine stands still for seconds.
    new Set(parts.filter((part) => part !== 'GET /pool/data')),
    new Set(['GET /pool/', 'GET /pool/events', 'GET /pool/lease']),
  );
});

inBrowser('no label is so long that a narrow screen is to be scrolled sideways', async (t, open) => {
  const { pool, url } = await inspected(t, {
    name: long.slice(0, 500),
    max: labels.length,
    leakThreshold: 60_000,
  });
  for (const label of labels) await hold(t, pool, label);
  await pool.transaction(() => {}, { label: long });
  const { page, troubles } = await open(url, { viewport: { width: 360, height: 740 } });
  await page.getByRole('region', { name: 'Held now' }).getByRole('button', { name: emoji }).waitFor();
  await page.getByText('The same as a table').click();
  t.is(await overhang(page), 0);
  await page.getByRole('region', { name: 'Held now' }).getByRole('button', { name: /^xxx/ }).click();
  await page.getByRole('dialog', { name: /^xxx/ }).getByText('Connection', { exact: true }).waitFor();
  t.is(await overhang(page), 0);
  const box = await page.getByRole('dialog').boundingBox();
  t.true(box !== null && box.x >= 0 && box.x + box.width <= 360 && box.y >= 0 && box.y + box.height <= 740);
  t.deepEqual(troubles, []);
});

inBrowser('labels that begin alike for as long as they are told have a row each', async (t, open) => {
  const { pool, url } = await inspected(t);
  for (const end of ['a', 'b', 'b']) await pool.withConnection(() => {}, { label: long.slice(0, 300) + end });
  const { page } = await open(url);
  const counted = page.getByRole('region', { name: 'By label' }).getByRole('row', { name: /^xxx/ });
  await counted.nth(1).waitFor();
  t.is(await counted.count(), 2);
});
