import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';

/** One of the files, and which it is for as long as it is there. */
export interface Found {
  readonly path: string;
  readonly device: bigint;
  readonly inode: bigint;
  readonly size: number;
  readonly modified: number;
  readonly kind: 'file' | 'directory' | 'other';
}

/** Follows links. `undefined` where there is nothing. @throws what the file system says otherwise */
export function find(path: string): Found | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (found === undefined) return undefined;
  return {
    path,
    device: found.dev,
    inode: found.ino,
    size: Number(found.size),
    modified: Number(found.mtimeNs / 1000n) / 1000,
    kind: found.isFile() ? 'file' : found.isDirectory() ? 'directory' : 'other',
  };
}

/** This process has the file open itself. The locks of SQLite belong to the process, and any descriptor that is closed ends them all. */
export class OpenHere extends Error {
  override readonly name = 'OpenHere';
}

/**
 * Reads pieces of a file, each as long as it is there.
 *
 * @throws OpenHere, or what the file system says
 */
export function peek(file: Found, pieces: readonly { readonly at: number; readonly length: number }[]): Buffer[] {
  return whileOpen(file, (descriptor) => {
    // Another may have taken its name; of a pipe nothing is read, which would take away what is in it.
    if (!fstatSync(descriptor).isFile()) return pieces.map(() => Buffer.alloc(0));
    return pieces.map(({ at, length }) => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(descriptor, bytes, 0, length, at));
    });
  });
}

/**
 * The first bytes of a file, and how long it was after they had been read: what grows all the time is then not shorter than they say.
 *
 * @throws OpenHere, or what the file system says
 */
export function peekHead(file: Found, length: number): { readonly head: Buffer; readonly size: number } {
  return whileOpen(file, (descriptor) => {
    if (!fstatSync(descriptor).isFile()) return { head: Buffer.alloc(0), size: 0 };
    const bytes = Buffer.alloc(length);
    const head = bytes.subarray(0, readSync(descriptor, bytes, 0, length, 0));
    return { head, size: fstatSync(descriptor).size };
  });
}

/**
 * Reads pieces of one length that lie at equal distances, one after the other, until one is cut off or `visit` returns false. What
 * `visit` is given is overwritten by the next.
 *
 * @throws OpenHere, or what the file system says
 */
export function peekAlong(
  file: Found,
  { first, step, length }: { readonly first: number; readonly step: number; readonly length: number },
  visit: (piece: Buffer) => boolean,
): void {
  whileOpen(file, (descriptor) => {
    if (!fstatSync(descriptor).isFile()) return;
    const piece = Buffer.alloc(length);
    for (let at = first; readSync(descriptor, piece, 0, length, at) === length; at += step) {
      if (!visit(piece)) return;
    }
  });
}

function whileOpen<Result>(file: Found, read: (descriptor: number) => Result): Result {
  if (isOpenHere(file)) throw new OpenHere(`This process has ${file.path} open itself.`);
  const descriptor = openQuietly(file.path);
  try {
    return read(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Without waiting for whoever is at the other end of a pipe, and without a new time of access where that is allowed. */
export function openQuietly(path: string): number {
  // What a system lacks is undefined there, which adds nothing.
  const { O_RDONLY, O_NONBLOCK, O_NOATIME } = constants;
  try {
    return openSync(path, O_RDONLY | O_NONBLOCK | O_NOATIME);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    // Only the owner may ask for that.
    return openSync(path, O_RDONLY | O_NONBLOCK);
  }
}

/** Only Linux tells. Elsewhere nothing that reads files this way may have opened them with SQLite. */
function isOpenHere({ device, inode }: Found): boolean {
  if (process.platform !== 'linux') return false;
  return readdirSync('/proc/self/fd').some((name) => {
    try {
      const open = statSync(`/proc/self/fd/${name}`, { bigint: true });
      return open.ino === inode && open.dev === device;
    } catch {
      // The one that listed them.
      return false;
    }
  });
}
