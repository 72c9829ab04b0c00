import test from 'ava';
import { playhead, ServerClock } from '../../../lib/inspector/page/clock.ts';

test('the clock of the browser may be wrong by years', (t) => {
  const clock = new ServerClock();
  clock.sample(1_700_000_000_000, 5);
  t.is(clock.now(105), 1_700_000_000_100);
});

test('there is no time before the first sample, nor after it was forgotten', (t) => {
  const clock = new ServerClock();
  t.is(clock.now(5), undefined);
  clock.sample(1000, 0);
  clock.forget();
  t.is(clock.now(5), undefined);
});

test('a report that was under way for long does not turn the clock back', (t) => {
  const clock = new ServerClock();
  clock.sample(10_000, 0);
  clock.sample(10_500, 900);
  t.is(clock.now(900), 10_900);
});

test('the truth is come nearer to without a jump', (t) => {
  const clock = new ServerClock();
  // The first was under way for 400 ms, the others for none.
  clock.sample(10_000, 400);
  clock.now(400);
  let last = 10_000;
  for (let local = 410; local <= 10_000; local += 10) {
    clock.sample(10_000 + local, local);
    const now = clock.now(local) ?? 0;
    t.true(now - last > 9 && now - last < 11);
    last = now;
  }
  t.true(Math.abs(last - 20_000) < 1);
});

test('a clock that was set is followed at once', (t) => {
  const clock = new ServerClock();
  clock.sample(1_000_000, 0);
  clock.now(0);
  clock.sample(500_000, 500);
  t.is(clock.now(500), 500_000);
  clock.sample(9_000_000, 1000);
  t.is(clock.now(1000), 9_000_000);
});

test('what is shown never runs ahead of what was told', (t) => {
  t.is(playhead(10_000, 9_900, 500), 9_300);
  t.is(playhead(20_000, 9_900, 500), 9_900);
});
