import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Failure, TapReader } from './tap.ts';

/** What is run, where, and by which Node.js. */
export interface Suite {
  readonly node: string;
  /** The checkout, or what was compiled of it. */
  readonly root: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Files to run, all where there are none. */
  readonly files: readonly string[];
  /** Path of ava's, relative to `root`. */
  readonly config: string;
  /** For how long nothing may happen, as ava reads it. */
  readonly timeout?: string;
}

export interface Outcome {
  readonly passed: number;
  readonly skipped: number;
  readonly failures: readonly Failure[];
  /** Milliseconds. */
  readonly duration: number;
}

/** Of a run that ended before its time, how many lines are shown of the last that were printed beside its tests. */
const shownLines = 20;

/** Is told what happens in a run while it happens. */
export interface Observer {
  /** After each test. */
  onTest(reader: TapReader): void;
  onFailure(failure: Failure): void;
}

/** Runs tests to their end. */
export async function runSuite(suite: Suite, { onTest, onFailure }: Observer): Promise<Outcome> {
  // Nothing about them is less true on a machine that is busy with more than one of these runs.
  const { node, root, environment, files, config, timeout = '3m' } = suite;
  const ava = join(root, 'node_modules', 'ava', 'entrypoints', 'cli.js');
  const program = fileURLToPath(new URL(`./ava${extname(import.meta.url)}`, import.meta.url));
  const args = [program, ava, '--tap', '--timeout', timeout, '--config', config, ...files];
  const start = performance.now();
  const child = spawn(node, args, { cwd: root, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  const reader = new TapReader(onFailure);
  const beside: string[] = [];
  const keep = (line: string) => {
    beside.push(line);
    if (beside.length > shownLines) beside.shift();
  };
  createInterface(child.stderr).on('line', keep);
  createInterface(child.stdout).on('line', (line) => {
    const before = reader.total;
    reader.read(line);
    if (reader.total !== before) onTest(reader);
    else keep(line);
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  reader.end();
  const failures = [...reader.failures];
  const isWhole = reader.announced !== undefined && reader.total > 0;
  if (!isWhole || (code !== 0 && failures.length === 0)) {
    const end = signal === null ? `exit code ${code}` : signal;
    const failure = { title: `the run ended before its time, after ${reader.total} tests: ${end}`, details: beside };
    failures.push(failure);
    onFailure(failure);
  }
  const { passed, skipped } = reader;
  return { passed, skipped, failures, duration: performance.now() - start };
}
