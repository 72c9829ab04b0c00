import { spawn } from 'node:child_process';
import { join } from 'node:path';

/** How a run of specs came out. `broken`: nothing could be tested at all. */
export interface Outcome {
  readonly kind: 'passed' | 'failed' | 'timeout' | 'broken';
  /** The first test that failed, or what was going on at the end of the time. */
  readonly title: string;
  /** Milliseconds. */
  readonly took: number;
  readonly output: string;
}

/** Runs specs with ava, to the first failure. */
export function runSpecs(root: string, specs: readonly string[], timeout: number): Promise<Outcome> {
  const startedAt = performance.now();
  const ava = join(root, 'node_modules', 'ava', 'entrypoints', 'cli.js');
  const args = [ava, '--fail-fast', '--timeout=20s', ...specs];
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
  // In colours, because those are what parts a title from the words that follow it.
  const env = { ...process.env, FORCE_COLOR: '1' };
  // A group of its own: it takes the processes that specs start with it.
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '';
  let isLate = false;
  const note = (chunk: string): void => {
    output += chunk;
  };
  child.stdout.setEncoding('utf8').on('data', note);
  child.stderr.setEncoding('utf8').on('data', note);
  const stop = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // All of them are gone already.
    }
  };
  const timer = setTimeout(() => {
    isLate = true;
    stop();
  }, timeout);
  process.once('exit', stop);
  child.once('error', reject);
  child.once('close', (code) => {
    clearTimeout(timer);
    stop();
    process.removeListener('exit', stop);
    resolve({ ...judge(code, isLate, output), took: performance.now() - startedAt, output });
  });
  return promise;
}

const esc = '\u001b';
const colour = `(?:${esc}\\[\\d+m)*`;

/** The first title after a mark of ava's, such as `✔`: without what stands in italics behind it. */
function titleAfter(mark: string, output: string): string | undefined {
  const [, title] = new RegExp(`^ *${colour}${mark}${colour} ?(.+?)(?: ${esc}\\[3m.*)?$`, 'mu').exec(output) ?? [];
  return title?.replaceAll(new RegExp(colour, 'g'), '');
}

function judge(code: number | null, isLate: boolean, output: string): Pick<Outcome, 'kind' | 'title'> {
  if (code === 0) return { kind: 'passed', title: '' };
  const failed = titleAfter('✘ \\[fail\\]:', output);
  if (failed !== undefined) return { kind: 'failed', title: failed };
  if (isLate || output.includes('Timed out while running tests')) {
    return { kind: 'timeout', title: titleAfter('◌', output) ?? 'the run as a whole' };
  }
  // No test alone: an error that nobody has caught, while they were under way.
  const uncaught = titleAfter('(?=Un(?:caught|handled))', output);
  if (uncaught !== undefined && titleAfter('✔', output) !== undefined) return { kind: 'failed', title: uncaught };
  return { kind: 'broken', title: uncaught ?? 'ava did not run the specs' };
}
