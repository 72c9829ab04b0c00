import { fork } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pidNamespace } from '../outside/processes.ts';
import type { Examination, Job, Message, Step } from './examination.ts';

const nothing: Examination = {
  settings: undefined,
  tables: undefined,
  pages: undefined,
  integrity: undefined,
  keys: undefined,
  unindexed: undefined,
  statistics: undefined,
  failures: [],
};

/**
 * Has a process of its own examine the file, and leaves nothing of it when that ends, or is ended.
 *
 * @param signal ends it at once. What was found until then is returned.
 */
export async function examine(
  job: Omit<Job, 'parent' | 'workspace'>,
  tell: (step: Step) => void,
  signal: AbortSignal,
): Promise<Examination> {
  sweep();
  let workspace: string | undefined;
  try {
    workspace = mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`));
    return await converse({ ...job, parent: process.pid, workspace }, tell, signal);
  } catch (error) {
    const { code = 'ERROR', message } = error as NodeJS.ErrnoException;
    return { ...nothing, failures: [{ during: 'copy', code, message }] };
  } finally {
    if (workspace !== undefined) rmSync(workspace, { recursive: true, force: true });
  }
}

function converse(job: Job, tell: (step: Step) => void, signal: AbortSignal): Promise<Examination> {
  return new Promise((resolve) => {
    let found = nothing;
    let isDone = false;
    // Under the same name whether it was compiled or not.
    const program = fileURLToPath(new URL(`./examiner${extname(import.meta.url)}`, import.meta.url));
    const child = fork(program, { serialization: 'advanced', stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    const kill = () => void child.kill('SIGKILL');
    if (signal.aborted) kill();
    signal.addEventListener('abort', kill, { once: true });
    let complaint = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-2000);
    });
    child.on('message', (message: Message) => {
      if ('step' in message) tell(message.step);
      else if ('part' in message) found = { ...found, ...message.part };
      else isDone = true;
    });
    let failure: string | undefined;
    child.once('error', ({ message }) => {
      failure = message;
      // One that could not be started ends without a word.
      if (child.pid === undefined) finish();
    });
    // What it has told may be heard after it has ended, until the channel ends too.
    let ends = 0;
    const end = () => {
      if (++ends === 2) finish();
    };
    child.once('close', end);
    child.once('disconnect', end);
    child.send(job, () => {});

    function finish(): void {
      signal.removeEventListener('abort', kill);
      if (isDone || signal.aborted) resolve(found);
      else {
        const how = failure ?? child.signalCode ?? `exit code ${child.exitCode}`;
        const last = complaint.trim().split('\n').at(-1);
        const message = `The process that examines the file ended: ${how}${last ? ` (${last})` : ''}.`;
        resolve({ ...found, failures: [...found.failures, { during: 'open', code: 'ENDED', message }] });
      }
    }
  });
}

/**
 * Of one set of processes that see each other: the number of a process means another one, or none, to those of a container that has the
 * same directory for temporary files.
 */
const prefix = `leasehold-doctor-${/\d+/.exec(pidNamespace() ?? '')?.[0] ?? '0'}-`;

/** What was left by one that was killed while it copied. */
function sweep(): void {
  try {
    for (const name of readdirSync(tmpdir())) {
      const pid = Number(name.startsWith(prefix) && /^(\d+)-/.exec(name.slice(prefix.length))?.[1]);
      if (pid > 0 && hasEnded(pid)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
    }
  } catch {
    // Of another user, or no longer there.
  }
}

function hasEnded(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
