import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { temporaryDirectory } from '../support/files.ts';

/** A small file system of its own. */
export interface Disk {
  /** Path of a database file on it. */
  readonly file: string;
  /** Leaves so many pages of room, none unless said. */
  fill(room?: number): void;
  /** Takes back what filled it. */
  free(): void;
  /** Refused by the system as long as a file on it is open for writing: tried again until then, unless said. */
  remount(mode: 'ro' | 'rw', options?: { readonly once: boolean }): void;
}

const page = 4096;

function mount(path: string, size: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path], { stdio: 'pipe' });
}

// Also where files on it are still open.
function unmount(path: string): void {
  execFileSync('umount', ['-l', path], { stdio: 'pipe' });
}

/** Whether this process may mount a file system: on Linux, with the rights of root. */
function canMount(): boolean {
  const path = mkdtempSync(join(tmpdir(), 'leasehold-mount-'));
  try {
    mount(path, '64k');
    unmount(path);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(path);
  }
}

const isPossible = canMount();

/** A test that gets a disk of 2 MB, unmounted after it. Skipped where none can be had. */
export function diskTest(title: string, body: (t: ExecutionContext, disk: Disk) => Promise<void>): void {
  if (isPossible) test(title, (t) => body(t, makeDisk(t)));
  else test.skip(`${title} (skipped: no file system can be mounted here)`, () => {});
}

/**
 * Tries again for some seconds. What was closed is not yet given back while anybody looks at it, and specs of other processes look at
 * what every process has open.
 */
function patiently(action: () => void): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let attempt = 1; ; attempt++) {
    try {
      action();
      return;
    } catch (error) {
      if (attempt === 1000) throw error;
      Atomics.wait(pause, 0, 0, 10);
    }
  }
}

/** A file that was deleted takes its room for as long as anybody has it. */
function checkDeleted(path: string): void {
  const { blocks, bfree, bsize } = statfsSync(path);
  let kept = 0;
  for (const name of readdirSync(path)) kept += statSync(join(path, name)).blocks * 512;
  const more = (blocks - bfree) * bsize - kept;
  if (more > 0) throw new Error(`${more} bytes of ${path} are taken by files that were deleted.`);
}

function makeDisk(t: ExecutionContext): Disk {
  const path = temporaryDirectory(t);
  mount(path, '2m');
  t.teardown(() => unmount(path));
  const ballast = join(path, 'ballast');
  return {
    file: join(path, 'app.db'),
    fill(room = 0) {
      patiently(() => checkDeleted(path));
      const pages = Buffer.alloc(page, 1);
      const file = openSync(ballast, 'a');
      try {
        for (let left = statfsSync(path).bavail - room; left > 0; left--) writeSync(file, pages);
        for (let more = room === 0 ? 1024 : 0; more > 0; more--) writeSync(file, pages);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(ballast, { force: true }),
    remount(mode, { once } = { once: false }) {
      const remount = () => void execFileSync('mount', ['-o', `remount,${mode}`, path], { stdio: 'pipe' });
      if (once) remount();
      else patiently(remount);
    },
  };
}
