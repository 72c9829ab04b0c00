import test from 'ava';
import { browserTests } from '../../support/browser.ts';
import { hold, inspected } from './inspected.ts';
import { lanesOf, painted } from './lanes.ts';

const inBrowser = browserTests(test);

/** The element that has the focus: what it is, what it says, and whether that can be seen. */
const focused = `(() => {
  const element = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  const name = element.ariaLabel ?? element.textContent.trim();
  return { name, place: element.localName, ring: outlineStyle === 'none' ? 0 : parseFloat(outlineWidth) };
})()`;

interface Focused {
  readonly name: string;
  readonly place: string;
  readonly ring: number;
}

inBrowser('it has landmarks, headings and names for those who hear it', async (t, open) => {
  const { pool, url } = await inspected(t, { max: 1 });
  await hold(t, pool, 'GET /orders');
  const { page } = await open(url);
  await page.getByRole('region', { name: 'Held now' }).getByRole('button', { name: 'GET /orders' }).waitFor();
  t.is(await page.locator('html').getAttribute('lang'), 'en');
  for (const landmark of ['banner', 'main'] as const) t.is(await page.getByRole(landmark).count(), 1);
  const regions = ['Now', 'Connections', 'Trends', 'Held now', 'Waiting now', 'By label', 'What went wrong'];
  for (const name of regions) t.true((await page.getByRole('region', { name }).count()) > 0, name);
  for (const name of ['Held now', 'Waiting now', 'By label']) {
    t.is(await page.getByRole('table', { name, exact: true }).count(), 1, name);
  }
  t.deepEqual(await page.getByRole('heading', { level: 1 }).allTextContents(), ['shop']);
  const heard = await page.locator('body').ariaSnapshot();
  t.regex(heard, /heading "Leased" \[level=2\]\n\s+- strong: 1 of 1\n\s+- text: full/);
  t.regex(heard, /row "GET \/orders .* ago \d+/);
  // A level is never left out, and nothing that can be pressed is without a name.
  t.is(await page.getByRole('heading', { level: 3 }).count(), 0);
  t.notRegex(heard, /- (?:button|link|region|navigation|table)(?: \[.*\])?:?$/m);
});

inBrowser('the key Tab reaches everything in the order of the page, and one sees where', async (t, open) => {
  const { pool, url } = await inspected(t);
  await hold(t, pool, 'GET /orders');
  const { page } = await open(url);
  await page.getByRole('region', { name: 'Held now' }).getByRole('button', { name: 'GET /orders' }).waitFor();
  const stops: Focused[] = [];
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate<Focused>(focused);
    if (stop.place === 'body') break;
    stops.push(stop);
  }
  const names = stops.map(({ name }) => name);
  const first = ['Skip to the lanes', 'Pause', 'Theme: system', '60 s', '20 s', '5 s', 'Leases on each connection'];
  t.deepEqual(names.slice(0, 8), [...first, 'The same as a table']);
  t.true(names.includes('GET /orders'));
  t.is(
    await page.locator('button:visible, summary:visible, a:visible').count(),
    countOf(stops, ['button', 'summary', 'a']),
  );
  t.deepEqual(
    stops.filter(({ ring }) => ring < 2),
    [],
  );
  // The way past the header.
  await page.getByRole('link', { name: 'Skip to the lanes' }).press('Enter');
  t.is((await page.evaluate<Focused>(focused)).name, 'Leases on each connection');
});

function countOf(stops: readonly Focused[], places: readonly string[]): number {
  return stops.filter(({ place }) => places.includes(place)).length;
}

inBrowser('what has the focus keeps it while reports come', async (t, open) => {
  const { pool, front, url } = await inspected(t);
  await hold(t, pool, 'GET /orders');
  const { page } = await open(url);
  const button = page.getByRole('region', { name: 'Held now' }).getByRole('button', { name: 'GET /orders' });
  await button.focus();
  await hold(t, pool, 'GET /later');
  await page.getByRole('region', { name: 'Held now' }).getByRole('button', { name: 'GET /later' }).waitFor();
  await front.hasTold(front.told + 1);
  t.true(await button.evaluate((element) => element.matches(':focus')));
});

inBrowser('at twice its size nothing is cut off at the side', async (t, open) => {
  const { pool, url } = await inspected(t, { max: 1 });
  await hold(t, pool, 'GET /orders/of/somebody/with/a/long/path/:id');
  const waiting = hold(t, pool, 'GET /late');
  waiting.catch(() => {});
  // What a browser makes of 1280 × 800 then.
  const { page } = await open(url, { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 });
  await page.getByText('full, 1 waiting', { exact: true }).waitFor();
  t.is(await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth'), 0);
  const lanes = await lanesOf(page).boundingBox();
  t.true(lanes !== null && lanes.x >= 0 && lanes.x + lanes.width <= 640);
});

/** Counts the frames that the page asks for. */
const counting = `(() => {
  const { requestAnimationFrame } = globalThis;
  globalThis.frames$ = 0;
  globalThis.requestAnimationFrame = (call) => { frames$++; return requestAnimationFrame(call); };
})()`;

inBrowser('for who wants no motion the picture changes with each report and not between', async (t, open) => {
  const { pool, front, url } = await inspected(t);
  await hold(t, pool, 'GET /orders');
  const { page } = await open(url, { reducedMotion: 'reduce', before: counting });
  await page.getByRole('button', { name: 'GET /orders' }).first().waitFor();
  const before = await page.evaluate<number>('frames$');
  const told = front.told;
  await front.hasTold(told + 3);
  await painted(page);
  const frames = (await page.evaluate<number>('frames$')) - before;
  t.true(before > 0);
  // Two are those of `painted`, and the report before may be one of those that were counted.
  t.true(frames <= (front.told - told + 1) * 2 + 2, `${frames} frames`);
});

inBrowser('with colours that the reader has chosen it is told what is leased and what is free', async (t, open) => {
  const { pool, url } = await inspected(t, { max: 2 });
  await hold(t, pool, 'GET /orders');
  const { page, troubles } = await open(url, { forcedColors: 'active' });
  await page.getByText('1 free', { exact: true }).waitFor();
  const colours = await page.evaluate<string[]>(
    `[...document.querySelectorAll('.meter i')].map((element) => getComputedStyle(element).backgroundColor)`,
  );
  t.is(colours.length, 2);
  t.not(colours[0], colours[1]);
  t.deepEqual(troubles, []);
});
