import { extname } from 'node:path';
import test from 'ava';
import type { Report } from '../../../lib/inspector/wire.ts';
import { eventually } from '../../http/support-b.ts';
import { browserTests } from '../../support/browser.ts';
import { temporaryFile } from '../../support/files.ts';
import { startProcess } from '../../support/processes.ts';
import { libraryUrl } from '../../support/sqlite.ts';
import { hold, inspected } from './inspected.ts';

const inBrowser = browserTests(test);

inBrowser('after the server has ended a stream the page comes back by itself', async (t, open) => {
  const { pool, front, url } = await inspected(t);
  const { page, requests, troubles } = await open(url);
  const link = page.locator('#link');
  await link.getByText('live').waitFor();
  const told = front.told;
  front.endStreams();
  await hold(t, pool, 'GET /orders');
  await page.getByRole('button', { name: 'GET /orders' }).waitFor();
  await link.getByText('live').waitFor();
  t.true(front.told > told);
  // Where the machine stands still for seconds the stream is given up, and data asked for until there is another.
  const streams = requests.filter((request) => request === 'GET /pool/events');
  t.true(streams.length >= 2);
  if (streams.length === 2) t.deepEqual(requests.slice(1), streams);
  t.deepEqual(troubles, []);
});

inBrowser('where events are refused by a proxy it asks for data, says so, and tries events again', async (t, open) => {
  const { pool, front, url } = await inspected(t);
  front.refuse('events', 502);
  // Before the first tick there is no number after which to ask.
  while (((await (await fetch(`${url}data`)).json()) as Report).ticks.length === 0);
  const { page, requests } = await open(url, { movesTime: true });
  const link = page.locator('#link');
  await link.getByText('polling').waitFor();
  await hold(t, pool, 'GET /orders');
  await page.getByRole('button', { name: 'GET /orders' }).waitFor();
  const [, events, complete, ...later] = requests;
  t.is(events, 'GET /pool/events');
  t.is(complete, 'GET /pool/data');
  t.true(later.length > 0);
  for (const request of later) t.regex(request, /^GET \/pool\/data\?after=\d+&server=[\da-f-]{36}$/);
  front.admit('events');
  await page.clock.fastForward(20_000);
  await link.getByText('live').waitFor();
  t.is(front.streams, 1);
});

inBrowser('where events are held back by a proxy without a word it asks for data', async (t, open) => {
  const { pool, front, url } = await inspected(t);
  front.pass(0);
  const { page } = await open(url, { movesTime: true });
  await page.locator('#link').getByText('connecting').waitFor();
  await page.clock.fastForward(10_000);
  await page.locator('#link').getByText('polling').waitFor();
  await hold(t, pool, 'GET /orders');
  await page.getByRole('button', { name: 'GET /orders' }).waitFor();
  t.is(front.told, 0);
});

/** A process that inspects a pool of its own, on a port that is chosen once. */
const program = `
  import { createServer } from 'node:http';
  import { createPool } from ${JSON.stringify(libraryUrl)};
  import { inspector } from ${JSON.stringify(new URL(`../../../lib/inspector${extname(import.meta.url)}`, import.meta.url).href)};
  const [file, name] = process.argv.slice(1);
  const pool = createPool(file, { name });
  const page = inspector(pool);
  const server = createServer(page.node);
  const commands = {
    listen: (port) => new Promise((resolve, reject) => {
      server.once('error', reject).listen(port, '127.0.0.1', () => resolve(server.address().port));
    }),
    hold: async (label) => { await pool.acquire({ label }); },
  };`;

inBrowser('while the server is gone it is said for how long, and nothing of it is left in another', async (t, open) => {
  const file = temporaryFile(t);
  const former = await startProcess(t, program, file, 'former');
  const port = await former.call<number>('listen', 0);
  await former.call('hold', 'GET /former');
  const { page } = await open(`http://127.0.0.1:${port}`, { movesTime: true });
  const link = page.locator('#link');
  await page.getByRole('button', { name: 'GET /former' }).first().waitFor();
  await former.kill();
  await page.getByRole('alert').getByText('The server does not answer.').waitFor();
  await page.clock.fastForward(60_000);
  await link.getByText(/stale for (?:6|7|8)\d s/).waitFor();
  // What was known last can be read still.
  t.true((await page.getByRole('button', { name: 'GET /former' }).count()) > 0);
  const other = await startProcess(t, program, file, 'other');
  await other.call('listen', port);
  await other.call('hold', 'GET /other');
  await page.clock.fastForward(20_000);
  await link.getByText('live', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'GET /other' }).first().waitFor();
  await page.getByRole('heading', { level: 1, name: 'other' }).waitFor();
  t.is(await page.getByRole('alert').count(), 0);
  await page.getByText('The same as a table').click();
  await page.getByRole('button', { name: 'GET /other' }).nth(1).waitFor();
  t.notRegex((await page.locator('header, main').allTextContents()).join(), /former/);
});

inBrowser('a client that may not see it is told so instead of the page', async (t, open) => {
  const { url } = await inspected(t, {}, { authorize: () => false });
  const { page, requests, troubles } = await open(url);
  t.is(await page.locator('body').textContent(), 'You may not see the inspector.\n');
  t.deepEqual(requests, ['GET /pool/']);
  t.true(
    troubles.every((trouble) => trouble.includes('403')),
    troubles.join('\n'),
  );
});

inBrowser('a page that is open while its reader loses access says so', async (t, open) => {
  let allowed = true;
  const { pool, front, url } = await inspected(t, {}, { authorize: () => allowed });
  const { page } = await open(url, { movesTime: true });
  await page.locator('#link').getByText('live').waitFor();
  allowed = false;
  front.endStreams();
  await page.getByRole('alert').getByText('You may not see this.').waitFor();
  await page.locator('#link').getByText('refused').waitFor();
  // And when it is let in again it goes on.
  allowed = true;
  await hold(t, pool, 'GET /orders');
  await page.clock.fastForward(20_000);
  await page.getByRole('button', { name: 'GET /orders' }).waitFor();
  t.is(await page.getByRole('alert').count(), 0);
});

inBrowser('a page that nobody sees for seconds lets its connection go, until it is seen', async (t, open) => {
  const { pool, front, url } = await inspected(t);
  const { page, requests } = await open(url, { movesTime: true });
  const link = page.locator('#link');
  // With an event before it: the stream is given up after five seconds without one.
  const pass = async (time: number) => {
    await front.hasTold(front.told + 2);
    await page.clock.fastForward(time);
  };
  const turn = (hidden: boolean) =>
    page.evaluate(`Object.defineProperty(document, 'hidden', { configurable: true, value: ${hidden} });
      document.dispatchEvent(new Event('visibilitychange'))`);
  await link.getByText('live').waitFor();
  // A look at another tab is no reason.
  await turn(true);
  await pass(3000);
  await turn(false);
  await pass(3000);
  await pass(0);
  await turn(true);
  await pass(3000);
  await page.clock.fastForward(3000);
  await eventually(() => front.streams === 0);
  const asked = requests.length;
  await page.clock.fastForward(60_000);
  t.is(requests.length, asked);
  await hold(t, pool, 'GET /orders');
  await turn(false);
  await link.getByText('live').waitFor();
  await page.getByRole('button', { name: 'GET /orders' }).waitFor();
});
