import test from 'ava';
import { nearestOf } from '../lib/nearest.ts';

const options = ['--pool', '--once', '--json', '--interval', '--lines', '--header', '--no-color'];

for (const [given, meant] of [
  ['--pol', '--pool'],
  ['--pools', '--pool'],
  ['--opol', '--pool'],
  ['--Once', '--once'],
  ['--intervall', '--interval'],
  ['--intreval', '--interval'],
  ['--int', '--interval'],
  ['--no-colour', '--no-color'],
  ['-json', '--json'],
  ['--headers', '--header'],
] as const) {
  test(`${given} was probably meant as ${meant}`, (t) => {
    t.is(nearestOf(given, options), meant);
  });
}

for (const given of ['--verbose', '--x', '--', '', '--frequency', `--${'pool'.repeat(1000)}`]) {
  test(`nobody can tell what ${given.slice(0, 20)} was meant as`, (t) => {
    t.is(nearestOf(given, options), undefined);
  });
}

test('how many mistakes are forgiven can be said', (t) => {
  t.is(nearestOf('--intrevall', options), '--interval');
  t.is(nearestOf('--intrevall', options, 1), undefined);
  t.is(nearestOf('no_color', options, 1), '--no-color');
  t.is(nearestOf('noColor', options, 1), '--no-color');
  t.is(nearestOf('int', options, 1), '--interval');
});
