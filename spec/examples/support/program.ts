import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Just enough of ava's `t` to clean up after a test. */
export interface TestContext {
  teardown(fn: () => Promise<void>): unknown;
}

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** An example as a process of its own. */
export interface Program {
  /** What it has printed so far. */
  readonly output: string;
  readonly complaints: string;
  /** Resolves when it has printed a line that matches; rejects when it ends without one. */
  printed(pattern: RegExp): Promise<RegExpExecArray>;
  /** Where it listens. */
  url(): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  /** When it has ended, and with it everything that had its output. */
  readonly ended: Promise<Ending>;
}

// Milliseconds. Shorter than ava's own limit, after which nothing would be torn down.
const longestRun = 40_000;

/** Starts an example with these arguments; ends it for certain after the test. */
export function startProgram(t: TestContext, name: string, ...args: string[]): Program {
  const program = fileURLToPath(new URL(`../${name}${extname(import.meta.filename)}`, import.meta.url));
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: longestRun,
    killSignal: 'SIGKILL',
  });
  let output = '';
  let complaints = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    complaints += chunk;
  });
  const ended = once(child, 'close').then(([code, signal]): Ending => ({ code, signal }));
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const started: Program = {
    get output() {
      return output;
    },
    get complaints() {
      return complaints;
    },
    ended,
    kill: (signal) => void child.kill(signal),
    url: async () => (await started.printed(/^Listening on (\S+)/m))[1] as string,
    printed: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const match = pattern.exec(output);
          if (match === null) return;
          child.stdout.off('data', look);
          resolve(match);
        };
        child.stdout.on('data', look);
        look();
        void ended.then(({ code, signal }) => {
          reject(new Error(`Ended with ${code ?? signal} and never printed ${pattern}\n${output}\n${complaints}`));
        });
      }),
  };
  return started;
}
