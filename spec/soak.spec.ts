import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { readOptions, replayOf } from './soak/options.ts';
import { temporaryDirectory, temporaryFile } from './support/files.ts';
import { UsageError } from './support/tool.ts';

const program = fileURLToPath(new URL(`soak/run${extname(import.meta.url)}`, import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs the soak as `npm run soak` does. `onOutput` is called with all there is so far, and may send it a signal. */
async function soak(
  t: ExecutionContext,
  args: readonly string[],
  onOutput: (output: string, kill: (signal: NodeJS.Signals) => void) => void = () => {},
): Promise<Ended> {
  const child = spawn(process.execPath, ['--expose-gc', program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => void child.kill('SIGKILL'));
  let [output, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
    onOutput(output, (signal) => child.kill(signal));
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output, errors };
}

test('the help says what replays and what does not', async (t) => {
  const { code, output, errors } = await soak(t, ['--help']);
  t.is(code, 0);
  t.is(errors, '');
  for (const option of ['--minutes', '--seconds', '--seed', '--processes', '--kill-every', '--max', '--file', '--json'])
    t.true(output.includes(option), option);
  t.regex(output, /With --processes 1 --kill-every 0 the whole sequence is the same/);
  t.regex(output, /What does not replay is time/);
});

for (const [args, message] of [
  [['--sed', '1'], /^Unknown option '--sed'\. Options are listed by --help\.\n$/],
  [['extra'], /^Unexpected argument 'extra'\. Options are listed by --help\.\n$/],
  [['--seed'], /^Option '--seed <value>' argument missing\. Options are listed by --help\.\n$/],
  [['--processes', '0'], /^--processes is an integer from 1 to 64, not "0"\.\n$/],
  [['--file', import.meta.dirname], /^--file .* exists already/],
  [['--file', '/no/such/folder/bank.db'], /^The database can not be made: .*directory does not exist\n$/],
] as const) {
  test(`what can not be done is refused in one line: ${args.join(' ').replace(import.meta.dirname, 'PATH')}`, async (t) => {
    const { code, output, errors } = await soak(t, args);
    t.is(code, 2);
    t.is(output, '');
    t.regex(errors, message);
  });
}

const refusals: readonly (readonly [args: readonly string[], message: RegExp])[] = [
  [['--minutes', '1', '--seconds', '1'], /not both/],
  [['--minutes', 'x'], /--minutes is a number/],
  [['--seconds', '0'], /--seconds is a number/],
  [['--seed', '-1'], /argument is ambiguous/],
  [['--seed', '4294967296'], /--seed is an integer from 0 to 4294967295/],
  [['--seed', '1e3'], /--seed is an integer/],
  [['--kill-every', '0.01'], /--kill-every is a number, 0, or more/],
  [['--max', '1'], /--max is an integer from 2/],
  [['--file', ''], /--file needs a path/],
];

test('options are checked, and what is not said has a default', (t) => {
  for (const [args, message] of refusals) {
    t.throws(() => readOptions(args, () => 1), { instanceOf: UsageError, message }, args.join(' '));
  }
  const defaults = { seconds: 60, seed: 7, processes: 4, killEvery: 3, max: 4, file: undefined, json: undefined };
  t.deepEqual(
    readOptions([], () => 7),
    defaults,
  );
  t.like(readOptions(['--minutes', '0.5', '--seed', '9', '--kill-every', '0'], Number), {
    seconds: 30,
    seed: 9,
    killEvery: 0,
  });
  t.is(readOptions(['--help'], Number), undefined);
});

test('the command to run a soak again asks for the same', (t) => {
  const options = readOptions(['--seconds', '7', '--processes', '2', '--max', '5', '--kill-every', '1.5'], () => 42);
  const [, args = ''] = replayOf(options as NonNullable<typeof options>).split('npm run soak -- ');
  t.deepEqual(
    readOptions(args.split(' '), () => 0),
    options,
  );
});

test('a soak of three processes, some of them killed, holds, and leaves the database alone', async (t) => {
  t.timeout(120_000);
  const file = temporaryFile(t, 'bank.db');
  const json = join(temporaryDirectory(t), 'soak.json');
  const args = ['--seconds', '6', '--seed', '11', '--processes', '3', '--kill-every', '2', '--max', '3'];
  const { code, output, errors } = await soak(t, [...args, '--file', file, '--json', json]);
  t.is(code, 0, output + errors);
  t.is(errors, '');
  t.regex(output, /^Seed 11: 3 processes for 6 s, a kill every 2 s, on /);
  t.regex(output, /s left · \d+ operations · \d+ commits · .* kills · stall \d+ ms · heap/);
  t.regex(output, /All held, with seed 11\.\n$/);
  const summary = JSON.parse(readFileSync(json, 'utf8')) as Record<string, number> & { checks: Record<string, number> };
  t.true((summary['kills'] ?? 0) >= 1 && (summary['commits'] ?? 0) > 0 && (summary['rollbacks'] ?? 0) > 0, output);
  for (const invariant of ['money', 'durability', 'integrity', 'exclusive', 'slots', 'deadlines', 'memory', 'errors'])
    t.true((summary.checks[invariant] ?? 0) > 0, invariant);
  t.deepEqual(readdirSync(dirname(file)), ['bank.db']);
});

test('Ctrl-C ends a soak in good order, with its summary and its folder removed', async (t) => {
  t.timeout(120_000);
  let isTold = false;
  const { code, output, errors } = await soak(t, ['--minutes', '10', '--processes', '1'], (sofar, kill) => {
    // By then its worker runs.
    if (isTold || !sofar.includes(' s left')) return;
    isTold = true;
    kill('SIGINT');
  });
  t.is(code, 0, output + errors);
  t.regex(output, /All held/);
  const [, folder = ''] = /on (\S+)\/bank\.db/.exec(output) ?? [];
  t.regex(folder, /leasehold-soak-/);
  t.false(existsSync(folder));
});

test('what does not hold ends a soak at once with one line, exit code 1 and the way to replay it', async (t) => {
  t.timeout(120_000);
  const file = temporaryFile(t, 'bank.db');
  const args = [
    '--minutes',
    '10',
    '--processes',
    '1',
    '--seed',
    '3',
    '--kill-every',
    '0',
    '--max',
    '2',
    '--file',
    file,
  ];
  let isSpoilt = false;
  const { code, output } = await soak(t, args, (sofar) => {
    if (isSpoilt || !sofar.includes(' s left')) return;
    isSpoilt = true;
    // Somebody who does not keep to the rules.
    const thief = new Database(file);
    thief.exec('UPDATE account SET balance = balance + 1 WHERE id = 1');
    thief.close();
  });
  t.is(code, 1);
  t.regex(output, /\n {2}money {7}VIOLATED/);
  t.regex(output, /\nVIOLATION of "money": worker 1\.1: .* of 40000\n/);
  t.true(
    output.includes(
      `Seed 3. The database is left at ${file}. Again: npm run soak -- --seed 3 --processes 1 --kill-every 0`,
    ),
  );
  t.true(existsSync(file));
});
