import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Just enough of ava's `t` to clean up after a test. */
interface TestContext {
  teardown(fn: () => void | Promise<void>): void;
}

/** Bytes: many more than all specs of a run need, as containers often have few of them. */
const enough = 2 ** 30;

/**
 * In memory where there is room: what waits for a disk that others use, too, waits for seconds at times, longer than a pool
 * waits for a lock. The soak and the benches work on a disk.
 */
function place(): string {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm');
    if (bavail * bsize < enough) return tmpdir();
    rmSync(mkdtempSync('/dev/shm/leasehold-'), { recursive: true });
    return '/dev/shm';
  } catch {
    return tmpdir();
  }
}

const parent = place();

/**
 * Those of tests that are over. They go with the process: were they deleted before, a new file might be given the inode of
 * one of theirs, and so the write lane of a test that is over, with the clock it has.
 */
const over: string[] = [];
process.once('exit', () => {
  for (const directory of over) rmSync(directory, { recursive: true, force: true });
});

/** A directory of its own for a test, removed with all that is in it afterwards. */
export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(parent, 'leasehold-'));
  t.teardown(() => void over.push(directory));
  return directory;
}

/** Path of a database file that does not exist yet, in a directory of its own. */
export function temporaryFile(t: TestContext, name = 'app.db'): string {
  return join(temporaryDirectory(t), name);
}
