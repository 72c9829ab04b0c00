import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { inspector } from '../../../lib/inspector.ts';
import { gate } from '../../support/gate.ts';
import { temporaryPool } from '../../support/sqlite.ts';
import { run } from './support/run.ts';
import { noTerminal, terminal } from './support/terminal.ts';

const atTerminal = noTerminal === undefined ? test : test.skip;

/** A pool of two, with the real inspector on a real server. */
async function inspected(t: ExecutionContext, options: Parameters<typeof inspector>[1] = {}) {
  const pool = temporaryPool(t, { max: 2, name: 'shop' });
  const page = inspector(pool, options);
  const server = createServer((request, response) => page.node(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(async () => {
    page.close();
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });
  return { pool, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/_pool` };
}

test('one picture of a real pool shows who holds it and who waits', async (t) => {
  const { pool, url } = await inspected(t);
  const done = gate();
  const began = [gate(), gate()];
  const held = began.map((started, index) =>
    pool.withConnection(
      async () => {
        started.open();
        await done.passed;
      },
      { label: `GET /items/${index}` },
    ),
  );
  await Promise.all(began.map(({ passed }) => passed));
  const waits = pool.withConnection(() => {}, { label: 'GET /late', timeout: 30_000 });
  const running = run(t, ['top', url, '--once']);
  t.is(await running.ended, 0, running.stderr());
  done.open();
  await Promise.all([...held, waits]);
  t.regex(running.stdout(), /^shop {2}127\.0\.0\.1:\d+\/_pool/);
  t.regex(running.stdout(), /^leased +█+ 2\/2 FULL /m);
  t.regex(running.stdout(), /^#1 .* GET \/items\/0/m);
  t.regex(running.stdout(), /^#2 .* GET \/items\/1/m);
  t.regex(running.stdout(), /conn\. {2}GET \/late {2}gives up in /);
});

atTerminal('a terminal follows a real pool from one report to the next', async (t) => {
  const { pool, url } = await inspected(t);
  const shown = await terminal(t, ['top', url]);
  await shown.until(({ text }) => /^leased +░+ 0\/2 /m.test(text));
  const done = gate();
  const write = pool.transaction(async () => await done.passed, { label: 'POST /orders' });
  await shown.until(({ text }) => /^lane .* POST \/orders/m.test(text) && /^#1 .* POST \/orders {2}writes/m.test(text));
  done.open();
  await write;
  await shown.until(({ text }) => /^lane .* free$/m.test(text) && /^#1 .*[░▒▓]/m.test(text));
  shown.type('q');
  t.is(await shown.ended, 0);
});

test('reports of the real stream are told one by one, without a gap', async (t) => {
  const { url } = await inspected(t);
  const running = run(t, ['top', url, '--json']);
  await running.until((stdout) => stdout.split('\n').length > 3);
  const reports = running
    .stdout()
    .split('\n')
    .slice(0, 3)
    .map((line) => JSON.parse(line) as { complete: boolean; ticks: { number: number }[] });
  t.deepEqual(
    reports.map(({ complete }) => complete),
    [true, false, false],
  );
  const numbers = reports.flatMap(({ ticks }) => ticks.map(({ number }) => number));
  for (const [index, number] of numbers.entries()) t.is(number, (numbers[0] ?? 0) + index);
});

test('whom the inspector does not let in is told so in its words', async (t) => {
  const { url } = await inspected(t, { authorize: () => false });
  const running = run(t, ['top', url]);
  t.is(await running.ended, 1);
  t.regex(running.stderr(), /^leasehold top: 127\.0\.0\.1:\d+\/_pool: it refuses \(403\)(?:: [^\n]+)?\n$/);
});
