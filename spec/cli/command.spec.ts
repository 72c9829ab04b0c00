import test from 'ava';
import { readArguments, readNumber, UsageError } from '../../lib/cli/command.ts';

const known = {
  pool: { type: 'string' },
  header: { type: 'string', multiple: true },
  once: { type: 'boolean' },
  'no-color': { type: 'boolean' },
} as const;

test('options and the rest are told apart, wherever they stand', (t) => {
  const { options, positionals } = readArguments(
    ['--once', 'http://a/', '--pool', 'app', '--header=a: b', '--header', 'c: d', '--', '--file'],
    known,
  );
  t.deepEqual({ ...options }, { once: true, pool: 'app', header: ['a: b', 'c: d'] });
  t.deepEqual([...positionals], ['http://a/', '--file']);
});

for (const [args, message] of [
  [['--onec'], 'There is no option "--onec". Did you mean --once?'],
  [['-x'], 'There is no option "-x"; there are --pool, --header, --once, --no-color.'],
  [['--constructor'], 'There is no option "--constructor"; there are --pool, --header, --once, --no-color.'],
  [['--__proto__=1'], 'There is no option "--__proto__"; there are --pool, --header, --once, --no-color.'],
  [['--once=1'], '--once takes no value.'],
  [['--pool'], '--pool lacks its value.'],
  [['--pool='], '--pool lacks its value.'],
  [['--pool', '--once'], '--pool lacks its value.'],
  [['--pool', 'a', '--pool', 'b'], '--pool is there twice.'],
  [['--no-once'], 'There is no option "--no-once". Did you mean --once?'],
] as const) {
  test(`refuses ${args.join(' ')}: ${message}`, (t) => {
    t.throws(() => readArguments(args, known), { instanceOf: UsageError, message });
  });
}

test('a value that begins with two dashes is given with an equals sign', (t) => {
  t.is(readArguments(['--pool=--once'], known).options.pool, '--once');
});

for (const value of ['499', '1e3', '-1', '0x300', '1000.5', '', ' 600', '99999999']) {
  test(`${JSON.stringify(value)} is no number from 500 to 10000`, (t) => {
    t.throws(() => readNumber('interval', value, { least: 500, most: 10_000 }), {
      instanceOf: UsageError,
      message: `--interval is an integer from 500 to 10000, not ${JSON.stringify(value)}.`,
    });
  });
}

test('the bounds of a number are among what it may be', (t) => {
  t.is(readNumber('interval', '500', { least: 500, most: 10_000 }), 500);
  t.is(readNumber('interval', '10000', { least: 500, most: 10_000 }), 10_000);
});
