import test from 'ava';
import type { Io, Output } from '../../../lib/cli/command.ts';
import { main } from '../../../lib/cli/main.ts';
import { temporaryFile } from '../../support/files.ts';
import { build } from '../doctor/support.ts';
import { Emulator } from './support/emulator.ts';
import { inspectorServer } from './support/inspector-server.ts';
import { report, Simulation } from './support/simulation.ts';

interface Run {
  readonly code: Promise<number>;
  readonly stderr: () => string;
  readonly stdout: () => string;
  /** Waits until this has been written. */
  until(text: string | RegExp, where?: 'stdout' | 'stderr'): Promise<void>;
  end(): void;
}

/** The command line in this process, on what says that it is a terminal, and where nobody is at a keyboard. */
function run(
  args: readonly string[],
  {
    env = {},
    ended = new AbortController(),
    ...output
  }: Partial<Output> &
    Partial<Pick<Io, 'env'>> & {
      readonly ended?: AbortController;
    } = {},
): Run {
  const written = { stdout: '', stderr: '' };
  let changed = Promise.withResolvers<void>();
  const tell = (where: 'stdout' | 'stderr', text: string) => {
    written[where] += text;
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const code = main(args, {
    stdout: {
      write(text) {
        tell('stdout', text);
      },
      isTTY: true,
      columns: 0,
      rows: 0,
      ...output,
    },
    stderr: {
      write(text) {
        tell('stderr', text);
      },
    },
    env,
    signal: ended.signal,
  });
  return {
    code,
    stderr: () => written.stderr,
    stdout: () => written.stdout,
    async until(text, where = 'stdout') {
      while (!(typeof text === 'string' ? written[where].includes(text) : text.test(written[where]))) {
        await changed.promise;
      }
    },
    end: () => ended.abort(),
  };
}

const database = (t: Parameters<typeof temporaryFile>[0]) => {
  const file = temporaryFile(t);
  build(file, 'CREATE TABLE a (b)');
  return file;
};

const begun = '\u001b[?1049h';
const over = '\u001b[?1049l';

test.serial('a terminal that does not know its size has a picture of 80 columns', async (t) => {
  const running = run(['top', '--file', database(t)]);
  await running.until('OPEN IN');
  const emulator = new Emulator(200, 50);
  emulator.write(running.stdout());
  t.regex(emulator.screen[0] ?? '', /^app\.db .* WAL \d\d:\d\d:\d\d$/);
  t.is(emulator.widthOfRow(0), 80);
  running.end();
  t.is(await running.code, 0);
  t.true(running.stdout().endsWith(over));
});

test.serial('who has been asked to end before the first picture leaves the terminal alone', async (t) => {
  const ended = new AbortController();
  ended.abort();
  const running = run(['top', '--file', database(t)], { ended });
  t.is(await running.code, 0);
  t.is(running.stdout(), '');
});

test.serial('a picture that can not be written ends it with the reason', async (t) => {
  let count = 0;
  const running = run(['top', '--file', database(t)], {
    write() {
      count++;
      throw new Error('write EIO');
    },
  });
  t.is(await running.code, 1);
  t.is(running.stderr(), 'leasehold top: write EIO\n');
  // Taken, and given back all the same, though that did not come through either.
  t.is(count, 2);
});

test.serial('the JSON of a file comes a line a look', async (t) => {
  const running = run(['top', '--file', database(t), '--json']);
  await running.until(/\}\n\{.*\}\n/);
  running.end();
  t.is(await running.code, 0);
  const [first, second] = running
    .stdout()
    .split('\n')
    .map((line) => (line === '' ? undefined : JSON.parse(line)));
  t.true(second.at > first.at);
  t.false(running.stdout().includes(begun));
});

test.serial('lines of a file begin at once, however long the next one takes', async (t) => {
  const running = run(['top', '--file', database(t)], { isTTY: false });
  await running.until(/^\d\d:\d\d:\d\d app\.db size [^\n]+\n$/);
  running.end();
  t.is(await running.code, 0);
});

for (const [env, args, isColoured] of [
  [{}, [], true],
  [{ NO_COLOR: '1' }, [], false],
  [{ NO_COLOR: '' }, [], true],
  [{ NO_COLOR: '1', FORCE_COLOR: '1' }, [], true],
  [{ FORCE_COLOR: '0' }, [], false],
  [{ FORCE_COLOR: '1' }, ['--no-color'], false],
  [{ TERM: 'dumb' }, [], false],
] as const) {
  const said = [...Object.entries(env).map(([name, value]) => `${name}=${value}`), ...args].join(' ');
  test.serial(
    `a picture at a terminal is ${isColoured ? '' : 'not '}coloured with ${said || 'nothing said'}`,
    async (t) => {
      const running = run(['top', '--file', database(t), '--once', ...args], { env });
      t.is(await running.code, 0);
      t.is(running.stdout().includes('\u001b['), isColoured);
    },
  );
}

test.serial('an inspector without pools has none to choose from', async (t) => {
  const server = await inspectorServer(t, { report: () => report({ pools: [] }) });
  const running = run(['top', server.url, '--pool', 'app', '--once']);
  t.is(await running.code, 1);
  t.is(running.stderr(), 'leasehold top: There is no pool "app"; there is none.\n');
});

for (const args of [['--json'], []]) {
  test.serial(
    `a server that goes and comes back is told beside the lines, ${args[0] ?? 'without options'}`,
    async (t) => {
      const simulation = new Simulation();
      simulation.tick();
      const server = await inspectorServer(t, simulation);
      const running = run(['top', server.url, ...args], { isTTY: false });
      await running.until('\n');
      t.is(running.stderr(), '');
      await server.close();
      await running.until(/: lost: [^\n]+; trying again\n/, 'stderr');
      simulation.tick();
      await inspectorServer(t, simulation, { port: server.port });
      await running.until(': live\n', 'stderr');
      for (const line of running.stderr().trimEnd().split('\n'))
        t.regex(line, /^leasehold top: 127\.0\.0\.1:\d+\/_pool: /);
      running.end();
      t.is(await running.code, 0);
      t.false(running.stdout().includes('lost'));
    },
  );
}
