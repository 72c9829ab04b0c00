import test from 'ava';
import { Monitor } from '../../lib/inspector/monitor.ts';
import type { Report } from '../../lib/inspector/wire.ts';
import { FakeClock } from '../support/clock.ts';
import { stillPool } from './support/watched.ts';

const hours = 3_600_000;

test('where the clock of the system is set, or the machine has slept, all begins anew by the new time of day', async (t) => {
  const clock = new FakeClock();
  const pool = await stillPool(t, {}, clock);
  let time = 1_000_000;
  const monitor = new Monitor([pool], false, clock, () => time + clock.now());
  t.teardown(() => monitor.stop());
  const read = (after?: number): Report => JSON.parse(monitor.report(after)) as Report;
  const held = await pool.acquire({ label: 'before' });
  await pool.withConnection(() => {}, { label: 'ended before' });
  await clock.pass(500);
  const before = read();
  t.is(before.ticks.length, 1);

  for (const change of [8 * hours, -16 * hours]) {
    time += change;
    const { number } = monitor;
    await clock.pass(500);
    await pool.withConnection(() => clock.skip(1), { label: 'after' });
    await clock.pass(500);
    const after = read(number);
    t.true(after.complete, 'nobody takes it for more of the former');
    t.not(after.server.id, before.server.id);
    t.is(after.server.now, time + clock.now());
    t.is(after.ticks.length, 2);
    for (const { at } of after.ticks) t.true(Math.abs(at - time - clock.now()) <= 510, `${at}`);
    const [bar] = after.ticks[1]?.pools[0]?.bars ?? [];
    t.is(bar?.label, 'after');
    t.true(Math.abs((bar?.to ?? 0) - time - clock.now()) <= 510);
    t.deepEqual(
      after.pools[0]?.longest.map(({ label }) => label),
      ['after'],
    );
    t.like(after.pools[0]?.holders[0], { label: 'before', from: time + 1000 });
    time += 900;
    await clock.pass(500);
    t.false(read(monitor.number - 1).complete, 'a little is no change');
    time -= 900;
  }
  held.close();
});

test('where the clock of the system is set back, what is told by label goes on', async (t) => {
  const clock = new FakeClock();
  const pool = await stillPool(t, {}, clock);
  let time = 10 * hours;
  const monitor = new Monitor([pool], false, clock, () => time + clock.now());
  t.teardown(() => monitor.stop());
  const labels = () => (JSON.parse(monitor.report()) as Report).pools[0]?.labels.map(({ label }) => label);
  await pool.withConnection(() => {}, { label: 'early' });
  await clock.pass(500);
  t.deepEqual(labels(), ['early']);
  time -= hours;
  await pool.withConnection(() => {}, { label: 'late' });
  await clock.pass(6000);
  t.deepEqual(new Set(labels()), new Set(['early', 'late']));
});
