import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { Emulator } from './emulator.ts';

export const program = fileURLToPath(new URL(`../../../../lib/cli${extname(import.meta.url)}`, import.meta.url));

/** Why there can be no terminal here; `undefined` where there can. */
export const noTerminal: string | undefined = reasonForNone();

function reasonForNone(): string | undefined {
  if (process.platform !== 'linux') return 'only with script of util-linux';
  try {
    execFileSync('script', ['-qec', 'true', '/dev/null'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'script of util-linux is missing';
  }
}

/** A process at a terminal. */
export interface Terminal {
  readonly emulator: Emulator;
  /** Of the process at it. */
  readonly pid: number;
  type(keys: string): void;
  kill(signal: NodeJS.Signals): void;
  resize(columns: number, rows: number): void;
  /** Waits until what the terminal shows, or else has been sent, passes. */
  until(passes: (emulator: Emulator) => boolean): Promise<void>;
  /** Comes to the exit code: 128 and more after a signal. */
  readonly ended: Promise<number>;
}

export interface TerminalOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Whether it is started by another process, as by `npx`, which waits for it in the same foreground. */
  readonly hasParent?: boolean;
  /** Commands of the shell with which the process is in the foreground, and that go on when it has ended or was stopped. */
  readonly shell?: { readonly before: string; readonly after: string };
}

// Each is in a session of its own: where the tests are ended it would go on.
const open = new Set<() => void>();
process.once('exit', () => {
  for (const end of open) end();
});

/** Starts the command line of the package with these arguments, as a user does at a terminal. */
export async function terminal(
  t: ExecutionContext,
  args: readonly string[],
  { columns = 80, rows = 24, env = {}, hasParent = false, shell }: TerminalOptions = {},
): Promise<Terminal> {
  const own = [process.execPath, program, ...args].map(quoted).join(' ');
  const command = hasParent ? `sh -c ${quoted(`${own}; exit $?`)}` : own;
  // The shell becomes the process: what it says first is the process's own.
  const run = shell === undefined ? `exec ${command}` : `${shell.before}; ${command}; ${shell.after}`;
  const line = `stty cols ${columns} rows ${rows}; echo "at $(tty) as $$."; ${run}`;
  const child = spawn('script', ['-qec', line, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: {
      ...process.env,
      TERM: 'xterm-256color',
      SHELL: '/bin/sh',
      ...env,
      NO_COLOR: env['NO_COLOR'] ?? '',
      NODE_NO_WARNINGS: '1',
    },
  });
  const emulator = new Emulator(columns, rows);
  let changed = Promise.withResolvers<void>();
  let failure: Error | undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    try {
      emulator.write(text);
    } catch (error) {
      failure ??= error as Error;
    }
    changed.resolve();
    changed = Promise.withResolvers();
  });
  const ended = exitOf(child);
  let isOver = false;
  void ended.then(() => {
    isOver = true;
    changed.resolve();
  });
  const until = async (passes: (shown: Emulator) => boolean) => {
    while (!passes(emulator)) {
      if (failure !== undefined) throw failure;
      if (isOver) throw new Error(`It ended and shows:\n${emulator.text}`);
      await changed.promise;
    }
    if (failure !== undefined) throw failure;
  };
  let started: number | undefined;
  const end = () => {
    if (isOver) return;
    for (const pid of [child.pid, started]) kill(pid);
  };
  open.add(end);
  void ended.then(() => open.delete(end));
  t.teardown(end);
  const said = /at (\S+) as (\d+)\./;
  await until(({ sent }) => said.test(sent));
  const [, device = '', pid = '0'] = said.exec(emulator.sent) ?? [];
  started = Number(pid);
  return {
    emulator,
    pid: Number(pid),
    type: (keys) => void child.stdin.write(keys),
    kill: (signal) => void process.kill(Number(pid), signal),
    resize(width, height) {
      emulator.columns = width;
      emulator.rows = height;
      execFileSync('stty', ['-F', device, 'cols', String(width), 'rows', String(height)]);
    },
    until,
    ended,
  };
}

/** For a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function kill(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

async function exitOf(child: ChildProcess): Promise<number> {
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return code ?? (signal === null ? -1 : -2);
}
