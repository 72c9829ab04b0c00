import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Just enough of ava's `t` to clean up after a test. */
interface TestContext {
  teardown(fn: () => void | Promise<void>): void;
}

/** A directory of its own for a test, removed with all that is in it afterwards. */
export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'leasehold-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Path of a database file that does not exist yet, in a directory of its own. */
export function temporaryFile(t: TestContext, name = 'app.db'): string {
  return join(temporaryDirectory(t), name);
}
