import test from 'ava';
import type { Locator, Page } from 'playwright-core';
import { browserTests } from '../../support/browser.ts';
import { gate } from '../../support/gate.ts';
import { hold, inspect, inspected, write } from './inspected.ts';

const inBrowser = browserTests(test);

/** One of the boxes at the top, by its title. */
function gauge(page: Page, title: string): Locator {
  return page
    .getByRole('region', { name: 'Now' })
    .locator('.gauge')
    .filter({ has: page.getByRole('heading', { name: title, exact: true }) });
}

function row(page: Page, table: string, text: string): Locator {
  return page.getByRole('region', { name: table }).getByRole('row').filter({ hasText: text });
}

inBrowser('two ticks after a pool is full it is called so, with who holds it and who waits', async (t, open) => {
  const { pool, front, url } = await inspected(t, { max: 2 });
  const { page } = await open(url);
  await gauge(page, 'Leased').getByText('quiet', { exact: true }).waitFor();
  // What it shows then is from no more than the next two events.
  front.refuse('data', 503);
  front.pass(2);
  const holders = [await hold(t, pool, 'GET /orders'), await hold(t, pool, 'GET /report')];
  const waiting = hold(t, pool, 'GET /late');
  await gauge(page, 'Leased').getByText('full, 1 waiting', { exact: true }).waitFor();
  await gauge(page, 'Leased').getByText('of 2', { exact: true }).waitFor();
  await gauge(page, 'Waiting').getByText('1', { exact: true }).waitFor();
  await row(page, 'Held now', 'GET /orders').waitFor();
  await row(page, 'Held now', 'GET /report').waitFor();
  await row(page, 'Waiting now', 'GET /late').waitFor();
  t.regex(await page.title(), /^shop: 2 of 2, full, 1 waiting$/);
  front.admit('data');
  front.pass(Infinity);
  for (const held of holders) await held.letGo();
  await (await waiting).letGo();
  await gauge(page, 'Leased').getByText('quiet', { exact: true }).waitFor();
  await page.getByRole('region', { name: 'Held now' }).getByText('Nobody holds a connection.').waitFor();
  await page.getByRole('region', { name: 'Waiting now' }).getByText('Nobody waits.').waitFor();
});

inBrowser('it is said who holds the write lane and who waits for it, and when somebody gives up', async (t, open) => {
  const { pool, url } = await inspected(t);
  const { page, troubles } = await open(url);
  await gauge(page, 'Write lane').getByText('free', { exact: true }).waitFor();
  const writer = await write(t, pool, 'POST /import');
  const second = write(t, pool, 'POST /orders');
  await gauge(page, 'Write lane')
    .getByText(/^held for .+: POST \/import$/)
    .waitFor();
  await row(page, 'Held now', 'POST /import').getByText('may write, transaction open').waitFor();
  await row(page, 'Waiting now', 'POST /orders').getByText('write lane').waitFor();
  await t.throwsAsync(pool.run('DELETE FROM item', [], { label: 'DELETE /items', timeout: 1 }), {
    code: 'ERR_LEASEHOLD_WRITE_TIMEOUT',
  });
  const note = row(page, 'What went wrong', 'DELETE /items');
  await note.getByText('timeout', { exact: true }).waitFor();
  await note.getByText('POST /import transaction').first().waitFor();
  await writer.letGo();
  await (await second).letGo();
  await gauge(page, 'Write lane').getByText('free', { exact: true }).waitFor();
  t.deepEqual(troubles, []);
});

inBrowser('once all pools are closed that is said, and nothing is left to hold', async (t, open) => {
  const { pool, url } = await inspected(t);
  const { page } = await open(url);
  const held = await hold(t, pool, 'GET /orders');
  await row(page, 'Held now', 'GET /orders').waitFor();
  await held.letGo();
  await pool.close();
  await page.locator('#link').getByText('pool closed').waitFor();
  await gauge(page, 'Leased').getByText('closed', { exact: true }).waitFor();
  await gauge(page, 'Leased').getByText('no connection is open').waitFor();
  t.regex(await page.title(), /closed/);
});

inBrowser('each of several pools has a button, and what is shown is of the one that was chosen', async (t, open) => {
  const one = await inspected(t, { max: 1, name: 'shop' });
  const other = await inspected(t, { name: 'audit' });
  const { url } = await inspect(t, [one.pool, other.pool]);
  const { page, troubles } = await open(url);
  const pools = page.getByRole('navigation', { name: 'Pools' });
  await hold(t, one.pool, 'GET /orders');
  await row(page, 'Held now', 'GET /orders').waitFor();
  await pools.getByRole('button', { name: 'shop 1/1 full' }).waitFor();
  await pools.getByRole('button', { name: 'audit' }).click();
  await page.getByRole('region', { name: 'Held now' }).getByText('Nobody holds a connection.').waitFor();
  await hold(t, other.pool, 'GET /log');
  await row(page, 'Held now', 'GET /log').waitFor();
  t.is(await pools.locator('[aria-current=true]').textContent(), 'audit1/8');
  t.is(await row(page, 'Held now', 'GET /orders').count(), 0);
  t.deepEqual(troubles, []);
});

inBrowser('while it is paused what it shows stays, and after that it is up to date', async (t, open) => {
  const { pool, front, url } = await inspected(t);
  const { page } = await open(url);
  const held = await hold(t, pool, 'GET /orders');
  await row(page, 'Held now', 'GET /orders').waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await held.letGo();
  await hold(t, pool, 'GET /later');
  // Two events more have been read by the page: it has said so of none of them.
  const told = front.told;
  await front.hasTold(told + 3);
  t.is(await row(page, 'Held now', 'GET /orders').count(), 1);
  t.is(await row(page, 'Held now', 'GET /later').count(), 0);
  await page.getByRole('button', { name: 'Paused' }).click();
  await row(page, 'Held now', 'GET /later').waitFor();
  t.is(await row(page, 'Held now', 'GET /orders').count(), 0);
});

inBrowser('a suspected deadlock is called so as long as it lasts', async (t, open) => {
  const { pool, url } = await inspected(t, { max: 2 });
  const { page } = await open(url);
  const inner = new AbortController();
  const { signal } = inner;
  const both = gate();
  let entered = 0;
  const outer = ['POST /a', 'POST /b'].map((label) =>
    pool.withConnection(
      async () => {
        if (++entered === 2) both.open();
        await both.passed;
        await pool.withConnection(() => {}, { fresh: true, signal, label: `inner of ${label}` });
      },
      { label },
    ),
  );
  await gauge(page, 'Leased').getByText('deadlock suspected, 2 waiting', { exact: true }).waitFor();
  await row(page, 'Waiting now', 'inner of POST /a').waitFor();
  await row(page, 'What went wrong', 'deadlock').first().waitFor();
  inner.abort();
  for (const each of outer) await t.throwsAsync(each, { code: 'ABORT_ERR' });
  await gauge(page, 'Leased').getByText('quiet', { exact: true }).waitFor();
});

inBrowser('the label of a lease that is over stays in sight until all of its bar has left it', async (t, open) => {
  const { pool, url } = await inspected(t);
  const { page } = await open(url, {
    // Of the canvas that is shown, not of the one on which is kept what was painted once.
    before: `globalThis.labels = [];
      const { fillText } = CanvasRenderingContext2D.prototype;
      CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
        if (this.canvas.isConnected) labels.push(text);
        return fillText.call(this, text, ...place);
      };`,
  });
  await page.getByRole('button', { name: '5 s', exact: true }).click();
  const isSeenAfterwards = async () => {
    const held = await hold(t, pool, 'GET /orders');
    await row(page, 'Held now', 'GET /orders')
      .getByText(/^[2-9](\.\d+)? s$/)
      .first()
      .waitFor();
    await held.letGo();
    await page.getByRole('region', { name: 'Held now' }).getByText('Nobody holds a connection.').waitFor();
    await page.evaluate('labels.length = 0');
    return await page.evaluate<boolean>(
      `new Promise((tell) => {
        const end = performance.now() + 5000;
        const look = () => {
          const isSeen = labels.includes('GET /orders');
          if (isSeen || performance.now() > end) tell(isSeen);
          else requestAnimationFrame(look);
        };
        look();
      })`,
    );
  };
  let isSeen = await isSeenAfterwards();
  // On a machine that stands still the bar may be gone before anybody has looked.
  for (let again = 0; again < 2 && !isSeen; again++) isSeen = await isSeenAfterwards();
  t.true(isSeen);
});
