import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ExecutionContext } from 'ava';
import { program } from './terminal.ts';

/** The command line of the package as a process whose output is no terminal. */
export interface Run {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** Waits until what it has written passes. */
  until(passes: (stdout: string, stderr: string) => boolean): Promise<void>;
  /** The exit code. */
  readonly ended: Promise<number | null>;
}

export function run(t: ExecutionContext, args: readonly string[], env: Readonly<Record<string, string>> = {}): Run {
  const { FORCE_COLOR: _force, NO_COLOR: _no, COLUMNS: _columns, ...others } = process.env;
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...others, NODE_NO_WARNINGS: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => void child.kill('SIGKILL'));
  const written = { stdout: '', stderr: '' };
  let changed = Promise.withResolvers<void>();
  let isOver = false;
  const tell = () => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      written[name] += text;
      tell();
    });
  }
  const ended = once(child, 'close').then(([code]) => {
    isOver = true;
    tell();
    return code as number | null;
  });
  return {
    child,
    stdout: () => written.stdout,
    stderr: () => written.stderr,
    ended,
    async until(passes) {
      while (!passes(written.stdout, written.stderr)) {
        if (isOver) throw new Error(`It ended after:\n${written.stdout}${written.stderr}`);
        await changed.promise;
      }
    },
  };
}
