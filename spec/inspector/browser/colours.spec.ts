import test from 'ava';
import type { Page } from 'playwright-core';
import { browserTests } from '../../support/browser.ts';
import { hold, inspected, write } from './inspected.ts';

const inBrowser = browserTests(test);

/** Texts that can be seen, whose colour is too near to that of what lies behind them: by WCAG 2, level AA. */
const faint = `(() => {
  const probe = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = colour;
    probe.fillRect(0, 0, 1, 1);
    return probe.getImageData(0, 0, 1, 1).data;
  };
  const luminance = (colour) => {
    const [r, g, b] = [...rgba(colour)].slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      if (rgba(backgroundColor)[3] === 255) return backgroundColor;
    }
    return 'Canvas';
  };
  const found = [];
  let seen = 0;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
    const element = node.parentElement;
    if (node.data.trim() === '' || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    if (element.closest('script, style, noscript') !== null) continue;
    seen++;
    const { color, fill, fontSize, fontWeight } = getComputedStyle(element);
    const ink = element instanceof SVGElement ? fill : color;
    const [light, dark] = [luminance(ink), luminance(behind(element))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(fontSize);
    const least = size >= 24 || (size >= 18.66 && fontWeight >= 700) ? 3 : 4.5;
    if (ratio < least) found.push(node.data.trim().slice(0, 30) + ' ' + ink + ' on ' + behind(element) + ': ' + ratio.toFixed(2));
  }
  return { found, seen };
})()`;

interface Faint {
  readonly found: readonly string[];
  readonly seen: number;
}

function background(page: Page): Promise<string> {
  return page.evaluate('getComputedStyle(document.documentElement).backgroundColor');
}

for (const colorScheme of ['light', 'dark'] as const) {
  inBrowser(`all texts can be read on what lies behind them where all is ${colorScheme}`, async (t, open) => {
    const { pool, front, url } = await inspected(t, { max: 1, leakThreshold: 60_000 }, { showSql: true });
    await pool.withConnection((db) => db.prepare('SELECT 1').get(), { label: 'GET /ended' });
    await hold(t, pool, 'GET /orders');
    await write(t, pool, 'POST /orders');
    const waiting = hold(t, pool, 'GET /late');
    waiting.catch(() => {});
    await t.throwsAsync(pool.withConnection(() => {}, { label: 'GET /never', timeout: 1 }));
    const { page } = await open(url, { colorScheme });
    await page.getByText('full, 1 waiting', { exact: true }).waitFor();
    await page.getByText('The same as a table').click();
    const first = await page.evaluate<Faint>(faint);
    t.true(first.seen > 100, `${first.seen} texts`);
    t.deepEqual(first.found, []);
    await page.getByRole('region', { name: 'Held now' }).getByRole('button', { name: 'GET /orders' }).click();
    await page.getByRole('dialog').getByText('Acquired at').waitFor();
    t.deepEqual((await page.evaluate<Faint>(faint)).found, []);
    await page.keyboard.press('Escape');
    front.refuse('data', 502);
    front.refuse('events', 502);
    front.endStreams();
    await page.getByRole('alert').getByText('502').waitFor();
    t.deepEqual((await page.evaluate<Faint>(faint)).found, []);
  });
}

inBrowser('it is as light or dark as the system, until the reader chooses, which is remembered', async (t, open) => {
  const { url } = await inspected(t);
  const { page } = await open(url, { colorScheme: 'dark' });
  const dark = await background(page);
  await page.emulateMedia({ colorScheme: 'light' });
  const light = await background(page);
  t.not(light, dark);
  await page.getByRole('button', { name: 'Theme: system' }).click();
  await page.getByRole('button', { name: 'Theme: light' }).click();
  await page.getByRole('button', { name: 'Theme: dark' }).waitFor();
  t.is(await background(page), dark);
  await page.reload();
  await page.getByRole('button', { name: 'Theme: dark' }).waitFor();
  t.is(await background(page), dark);
  await page.getByRole('button', { name: 'Theme: dark' }).click();
  t.is(await background(page), light);
});

inBrowser('where the browser keeps nothing one can choose all the same', async (t, open) => {
  const { url } = await inspected(t);
  const before = `Object.defineProperty(globalThis, 'localStorage', { get() { throw new Error('denied'); } })`;
  const { page, troubles } = await open(url, { colorScheme: 'light', before });
  await page.locator('#link').getByText('live').waitFor();
  const light = await background(page);
  await page.getByRole('button', { name: 'Theme: system' }).click();
  await page.getByRole('button', { name: 'Theme: light' }).click();
  t.not(await background(page), light);
  t.deepEqual(troubles, []);
});
