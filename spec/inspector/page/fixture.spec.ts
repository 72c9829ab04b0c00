import test from 'ava';
import { layoutOf } from '../../../lib/inspector/page/layout.ts';
import { pictureOf } from '../../../lib/inspector/page/picture.ts';
import { apply, read, type View } from '../../../lib/inspector/page/store.ts';
import { page } from '../../../lib/inspector/page.generated.ts';
import type { Report } from '../../../lib/inspector/wire.ts';
import { fixture } from './fixture.ts';
import { loads } from './loads.ts';

const served = await fixture();
test.after.always(() => served.close());

const at = (path: string) => fetch(`http://127.0.0.1:${served.port}/${path}`);

async function told(path: string): Promise<Report> {
  const report = read(await (await at(path)).json());
  if (typeof report === 'string') throw new Error(`What is told at ${path} is ${report}.`);
  return report;
}

for (const name of [...Object.keys(loads), 'two']) {
  test(`a minute of the pool "${name}" is read, and has its place in the picture`, async (t) => {
    const report = await told(`${name}/data`);
    const { view, incomplete } = apply(undefined, report);
    t.false(incomplete);
    for (const pool of report.pools) {
      const picture = pictureOf(view as View, pool);
      const parts = report.ticks.flatMap(({ pools }) => pools).filter((part) => part.pool === pool.id);
      const bars = parts.flatMap((part) => part.bars).length + pool.holders.length;
      t.is(picture.items.flat().filter(({ type }) => type === 'lease').length, bars);
      t.is(layoutOf(picture.lanes, 1200, 700).rows.length, picture.lanes.length);
    }
  });
}

test('what is told after a tick goes on where the last report ended', async (t) => {
  const first = apply(undefined, await told('busy/data')).view;
  const last = first?.ticks.at(-1)?.number ?? 0;
  const next = await told(`busy/data?after=${last - 2}&server=${first?.server.id}`);
  const { view, incomplete } = apply(first, next);
  t.false(next.complete);
  t.false(incomplete);
  t.true(view?.ticks.some(({ number }) => number === last));
  const numbers = view?.ticks.map(({ number }) => number) ?? [];
  t.is(new Set(numbers).size, numbers.length);
});

test('the page is served with its policy, and comes from the file that was made of its sources', async (t) => {
  const answer = await at('hostile');
  t.is(answer.headers.get('content-security-policy'), page.policy);
  t.is(await answer.text(), page.html);
});
