import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Just enough of ava's `t` to clean up after a test. */
interface TestContext {
  teardown(fn: () => void | Promise<void>): void;
}

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
  const directory = mkdtempSync(join(tmpdir(), 'leasehold-'));
  t.teardown(() => void over.push(directory));
  return directory;
}

/** Path of a database file that does not exist yet, in a directory of its own. */
export function temporaryFile(t: TestContext, name = 'app.db'): string {
  return join(temporaryDirectory(t), name);
}
