import { constants } from 'node:os';
import process from 'node:process';
import { main, tell } from './main.ts';

const ending = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** Commands whose exit code tells what they found: what becomes of their report must not look like that. */
const judging: ReadonlySet<string | undefined> = new Set(['doctor']);
const unwritten = 2;

/** Runs the command line of this process, and ends it. */
export async function start(): Promise<never> {
  const controller = new AbortController();
  // As a shell counts: 130 after Ctrl-C, 143 after SIGTERM. Kept apart from what the command then still says.
  let ended: number | undefined;
  for (const signal of ending) {
    process.on(signal, () => {
      // Who asks twice does not want to wait for tidying up.
      if (ended !== undefined) process.exit(ended);
      ended = 128 + constants.signals[signal];
      controller.abort(signal);
    });
  }
  const [, , command] = process.argv;
  const isVerdict = judging.has(command);
  let failed: number | undefined;
  process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
    // `leasehold top … | head`: whoever read has enough. EIO: the terminal is gone.
    if (!isVerdict) process.exit(code === 'EPIPE' ? 0 : 1);
    // `leasehold doctor … | head`: who reads no further still asks what it comes to.
    if (code !== 'EPIPE') failed = unwritten;
  });
  process.stderr.on('error', () => {});
  process.on('uncaughtException', (error) => {
    const exitCode = tell(error, 'leasehold', process);
    process.exit(ended ?? (isVerdict ? unwritten : exitCode));
  });
  const code = await main(process.argv.slice(2), {
    stdout: process.stdout,
    stderr: process.stderr,
    // Only opened by who reads keys.
    get stdin() {
      return process.stdin;
    },
    env: process.env,
    signal: controller.signal,
  });
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  // Not left to the event loop: a connection that is kept alive for the next request would keep the process as well.
  process.exit(ended ?? failed ?? code);
}

/** Until what was written to a pipe has been taken. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve());
  });
}
