import { closeSync, openSync, readSync, realpathSync, statSync } from 'node:fs';

/**
 * Which file has a name at present: its device and inode, which no two files have that exist at a time. `undefined` where
 * there is none.
 * @throws what the file system says, but for a file that is not there
 */
export function identityOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? undefined : `${found.dev}:${found.ino}`;
}

/** Of a write-ahead log, whose inode may be given to another as soon as it is gone. */
function logIdentityOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? undefined : `${found.dev}:${found.ino}:${found.birthtimeNs}`;
}

/** A database file that somebody in this process has open, or whose write-ahead log was left lying when he closed it. */
interface KnownFile {
  connections: number;
  /** The write-ahead log that belongs to it, and its path; `undefined` where it has none, as far as is known. */
  log: { readonly id: string; readonly path: string } | undefined;
}

// By identity. Under this name every pool and every copy of the package in the process finds the same.
const registryKey = Symbol.for('leasehold.files.v1');
const shared = globalThis as { [registryKey]?: Map<string, KnownFile> };
shared[registryKey] ??= new Map();
const known = shared[registryKey];

/**
 * The file of one connection, as it was when that was opened. While it is open nobody else can get its identity, though it
 * may have lost its name, or got another.
 */
export class DatabaseFile {
  /** As it was asked for: perhaps a link. */
  readonly #path: string;
  readonly #logPath: string;
  readonly #file: KnownFile;
  readonly id: string;
  #isClosed = false;

  /** @throws what the file system says, also where there is none */
  constructor(path: string) {
    this.#path = path;
    this.#logPath = logPathOf(path);
    this.id = identityOf(path) ?? '';
    const file = known.get(this.id) ?? { connections: 0, log: undefined };
    known.set(this.id, file);
    this.#file = file;
    file.connections++;
    this.noteLog();
  }

  /** It may have got a write-ahead log: by the first read in WAL mode, or because another process has chosen that mode. */
  noteLog(): void {
    if (this.#file.log !== undefined) return;
    const id = logIdentityOf(this.#logPath);
    if (id !== undefined) this.#file.log = { id, path: this.#logPath };
  }

  /** Why what is opened by its path now would be another, `undefined` where it would not or nobody can tell. */
  replaced(): string | undefined {
    try {
      const present = identityOf(this.#path);
      if (present !== this.id) return present === undefined ? 'its file is gone' : 'another file is in its place';
      this.noteLog();
    } catch {
      // What can not be looked at now can be looked at later.
    }
    return undefined;
  }

  /** The connection has been closed. */
  closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (--this.#file.connections === 0 && !isLeft(this.#file)) known.delete(this.id);
  }
}

/**
 * What lies beside a file and belongs to another that had its name before: SQLite would take it for a part of this one, and mix
 * the two without a word. Only what this process has had open itself is known. `undefined` where nothing does.
 *
 * @param former the file that the pool had open last
 */
export function leftoverBeside(path: string, former: DatabaseFile | undefined): string | undefined {
  const present = identityOf(path);
  const logPath = logPathOf(path);
  const log = logIdentityOf(logPath);
  for (const [id, file] of known) {
    if (file.connections === 0 && !isLeft(file)) known.delete(id);
    // Of the file itself it has to be the one it has been open with: two of one file would not know of each other.
    else if (id === present ? isReplaced(file, log) : log !== undefined && file.log?.id === log) return logPath;
  }
  if (former === undefined || former.id === present) return undefined;
  const journal = logPath.replace(/wal$/, 'journal');
  return isHot(journal, known.has(former.id)) ? journal : undefined;
}

/** Whether its write-ahead log was taken away, or another put in its place, while it is open. */
function isReplaced({ connections, log }: KnownFile, present: string | undefined): boolean {
  return connections > 0 && log !== undefined && log.id !== present;
}

/** Whether its write-ahead log is still there, with something in it. */
function isLeft({ log }: KnownFile): boolean {
  return log !== undefined && logIdentityOf(log.path) === log.id && statSync(log.path).size > 0;
}

/** SQLite keeps it beside the file itself, where the path is that of a link. */
function logPathOf(path: string): string {
  try {
    return `${realpathSync.native(path)}-wal`;
  } catch {
    // There is none, and SQLite would make one.
    return `${path}-wal`;
  }
}

/**
 * Whether a rollback journal would be played back: whoever has done with one empties it, removes it, or clears its head, which
 * may also be still to come where somebody is at work with it.
 */
function isHot(journal: string, isInUse: boolean): boolean {
  if ((statSync(journal, { throwIfNoEntry: false })?.size ?? 0) === 0) return false;
  if (isInUse) return true;
  const descriptor = openSync(journal, 'r');
  try {
    const head = Buffer.alloc(8);
    readSync(descriptor, head, 0, 8, 0);
    return head.some((byte) => byte !== 0);
  } finally {
    closeSync(descriptor);
  }
}
