import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { extname } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { main } from '../../lib/cli/main.ts';
import { inspectorServer } from './top/support/inspector-server.ts';
import { Simulation } from './top/support/simulation.ts';

const program = fileURLToPath(new URL(`../../lib/cli${extname(import.meta.url)}`, import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(t: ExecutionContext, args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const { LEASEHOLD_DEBUG: _debug, NODE_DEBUG: _node, FORCE_COLOR: _force, ...others } = process.env;
  const child = spawn(process.execPath, [program, ...args], { env: { ...others, NODE_NO_WARNINGS: '1', ...env } });
  t.teardown(() => void child.kill('SIGKILL'));
  return child;
}

/** In this process: quicker by far, where it is not the process that matters. */
async function here(args: readonly string[]): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  const code = await main(args, {
    stdout: {
      write: (line: string) => {
        stdout += line;
      },
    },
    stderr: {
      write: (line: string) => {
        stderr += line;
      },
    },
    env: {},
    signal: new AbortController().signal,
  });
  return { code, stdout, stderr };
}

/** As a real process. */
async function leasehold(t: ExecutionContext, args: readonly string[], env?: Record<string, string>): Promise<Ended> {
  const child = start(t, args, env);
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout as NodeJS.ReadableStream),
    text(child.stderr as NodeJS.ReadableStream),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { code, stdout, stderr };
}

for (const args of [['--help'], ['-h'], ['help']]) {
  test(`${args.join(' ')} lists the commands`, async (t) => {
    const { code, stdout, stderr } = await here(args);
    t.is(code, 0);
    t.is(stderr, '');
    t.regex(stdout, /^Usage: leasehold <command>/);
    for (const command of ['top', 'doctor']) t.regex(stdout, new RegExp(`^ {2}${command} +[a-z]`, 'm'));
  });
}

test('without a command it says what there is, as an error', async (t) => {
  const { code, stdout, stderr } = await here([]);
  t.is(code, 2);
  t.is(stdout, '');
  t.regex(stderr, /^Usage: leasehold <command>/);
});

for (const args of [
  ['help', 'top'],
  ['top', '--help'],
  ['top', '-h'],
  ['top', '--onec', '--help'],
  ['top', 'http://a', '--help'],
]) {
  test(`${args.join(' ')} tells how top is used`, async (t) => {
    const { code, stdout } = await here(args);
    t.is(code, 0);
    t.regex(stdout, /^Usage: leasehold top \[options\] <url>/);
  });
}

test('the usage of each command names each of its options, and fits a terminal', async (t) => {
  const { stdout } = await here(['help', 'top']);
  for (const option of ['pool', 'once', 'json', 'interval', 'lines', 'header', 'no-color', 'file']) {
    t.regex(stdout, new RegExp(`--${option}\\b`));
  }
  for (const command of ['top', 'doctor']) {
    const usage = await here(['help', command]);
    for (const line of usage.stdout.split('\n')) t.true(line.length <= 120, line);
  }
});

test('--version is that of the package', async (t) => {
  const { default: manifest } = (await import('../../package.json', { with: { type: 'json' } })) as {
    readonly default: { readonly version: string };
  };
  t.deepEqual(await here(['--version']), { code: 0, stdout: `${manifest.version}\n`, stderr: '' });
});

for (const [args, said] of [
  [['tpo'], 'leasehold: There is no command "tpo"; there is top, doctor. Did you mean top?'],
  [['dokter', 'app.db'], 'leasehold: There is no command "dokter"; there is top, doctor. Did you mean doctor?'],
  [['help', 'constructor'], 'leasehold: There is no command "constructor"; there is top, doctor.'],
  [['\u001b[2J'], 'leasehold: There is no command "\\u001b[2J"; there is top, doctor.'],
  [['--verison'], 'leasehold: There is no option "--verison"; there is --help, --version. Did you mean --version?'],
  [
    ['top'],
    'leasehold top: What to look at is missing: the URL of an inspector, or --file and the path of a database.',
  ],
  [['top', '--onec', 'http://a'], 'leasehold top: There is no option "--onec". Did you mean --once?'],
  [['top', 'http://a', 'http://b'], 'leasehold top: One URL at a time: "http://b" is one too many.'],
  [['top', 'http://a', 'ann:secret@b?token=x'], 'leasehold top: One URL at a time: "b" is one too many.'],
  [['top', 'http://a', '--file', 'x'], 'leasehold top: Either a URL or --file, not both.'],
  [['top', 'http://a', '--interval', '100'], 'leasehold top: --interval is an integer from 500 to 3600000, not "100".'],
  [['top', 'gopher://a'], 'leasehold top: "gopher://a" is neither http nor https.'],
] as const) {
  test(`leasehold ${JSON.stringify(args.join(' '))} is one line on stderr and code 2`, async (t) => {
    t.deepEqual(await here(args), { code: 2, stdout: '', stderr: `${said}\n` });
  });
}

test('what the command line comes to is what the process comes to', async (t) => {
  for (const args of [['help', 'top'], ['tpo']]) t.deepEqual(await leasehold(t, args), await here(args));
});

test('an error has a stack only where that is asked for', async (t) => {
  const args = ['top', '--once', 'http://127.0.0.1:9'];
  const plain = await leasehold(t, args);
  t.is(plain.code, 1);
  t.regex(plain.stderr, /^leasehold top: 127\.0\.0\.1:9: [^\n]+\n$/);
  const told = await leasehold(t, args, { LEASEHOLD_DEBUG: '1' });
  t.is(told.code, 1);
  t.regex(told.stderr, /CommandError: 127.*\n +at /);
});

test('a reader that has read enough ends it quietly', async (t) => {
  const simulation = new Simulation();
  for (let tick = 0; tick < 10; tick++) simulation.tick();
  const server = await inspectorServer(t, simulation);
  const child = start(t, ['top', server.url, '--json']);
  const stderr = text(child.stderr as NodeJS.ReadableStream);
  const exited = once(child, 'exit');
  const output = child.stdout as NodeJS.ReadableStream & { destroy(): void };
  await once(output, 'data');
  output.destroy();
  // Written into the pipe that nobody reads any more.
  const ticking = setInterval(() => {
    simulation.tick();
    server.tick();
  }, 20);
  const [code] = await exited;
  clearInterval(ticking);
  t.is(code, 0);
  t.is(await stderr, '');
});

const onPosix = process.platform === 'win32' ? test.skip : test;

onPosix('who asks twice to end does not wait until all is read that it has written', async (t) => {
  // More than fits into any pipe.
  const simulation = new Simulation({ pools: ['x'.repeat(8_000_000)] });
  simulation.tick();
  const server = await inspectorServer(t, simulation);
  const child = start(t, ['top', server.url, '--once', '--json']);
  const exited = once(child, 'exit');
  await once(child.stdout as NodeJS.ReadableStream, 'readable');
  child.kill('SIGINT');
  child.kill('SIGTERM');
  // The first of them is what it ends by. Of two that reach it at once the system decides which that is.
  const [code, signal] = (await exited) as [number | null, string | null];
  t.true(code === 130 || code === 143, `${code} ${signal}`);
});

const onFull = existsSync('/dev/full') ? test : test.skip;

onFull('output that can not be written is an error', async (t) => {
  const full = openSync('/dev/full', 'w');
  t.teardown(() => closeSync(full));
  const child = spawn(process.execPath, [program, '--version'], { stdio: ['ignore', full, 'pipe'] });
  t.teardown(() => void child.kill('SIGKILL'));
  const [code] = await once(child, 'exit');
  t.is(code, 1);
});

test('SIGTERM ends what goes on without an end, with the code that a shell knows it by', async (t) => {
  const server = await inspectorServer(t, new Simulation());
  const child = start(t, ['top', server.url, '--json']);
  const exited = once(child, 'exit');
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  child.kill('SIGTERM');
  t.deepEqual(await exited, [143, null]);
});

test('on an old Node it says so in one line before anything else is loaded', async (t) => {
  // In a process that says it is of that version, and that may not load anything but the two files that find out.
  const prelude = `data:text/javascript,${encodeURIComponent(`
    import { registerHooks } from 'node:module';
    Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.19.0' } });
    registerHooks({
      resolve(specifier, context, next) {
        if (/cli[/\\\\]|better-sqlite3/.test(specifier)) throw new Error('Loaded: ' + specifier);
        return next(specifier, context);
      },
    });`)}`;
  const { code, stdout, stderr } = await leasehold(t, ['--version'], { NODE_OPTIONS: `--import "${prelude}"` });
  t.is(code, 1);
  t.is(stdout, '');
  t.regex(stderr, /^leasehold: Leasehold needs Node\.js 22 or newer; [^\n]+\n$/);
});
