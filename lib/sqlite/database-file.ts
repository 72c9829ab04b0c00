import { closeSync, openSync, readSync, realpathSync, statSync } from 'node:fs';

/** Which file it is. */
export interface FileIdentity {
  /** Its device and inode, which no two files have that exist at a time. */
  readonly id: string;
  /** When it was made, in ns: tells it from one that has got its inode after it was gone. 0 where the file system keeps none. */
  readonly birth: bigint;
}

/**
 * Which file has a name at present, `undefined` where there is none.
 * @throws what the file system says, but for a file that is not there
 */
export function identityOf(path: string): FileIdentity | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? undefined : { id: `${found.dev}:${found.ino}`, birth: found.birthtimeNs };
}

/** Of a write-ahead log: its inode may be given to another as soon as it is gone. */
function logIdentityOf(path: string): string | undefined {
  const found = identityOf(path);
  return found === undefined ? undefined : `${found.id}:${found.birth}`;
}

/** A database file that somebody in this process has open, or whose write-ahead log was left lying when he closed it. */
interface KnownFile {
  readonly birth: bigint;
  /** One for each open connection. Weak, because a pool that is dropped without `close` does not tell of its end. */
  readonly users: Set<WeakRef<DatabaseFile>>;
  /** The write-ahead log that belongs to it, and its path, as the connection found it that was opened last. */
  log: { readonly id: string; readonly path: string } | undefined;
}

// By the identity of the file. Under this name every pool and every copy of the package in the process finds the same.
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
  readonly #file: KnownFile;
  readonly #self = new WeakRef(this);
  readonly id: string;

  constructor(path: string, { id, birth }: FileIdentity) {
    this.#path = path;
    this.id = id;
    const former = known.get(id);
    this.#file = former !== undefined && isSame(former, birth) ? former : { birth, users: new Set(), log: undefined };
    known.set(id, this.#file);
    this.#file.users.add(this.#self);
  }

  /**
   * The connection is set up. What lies beside the file now is its write-ahead log, which nobody can take from it for as long as
   * a connection is in WAL mode; in any other it has none, and another process may turn to it at any time.
   */
  settle(isWal: boolean): void {
    const path = logPathOf(this.#path);
    const id = isWal ? logIdentityOf(path) : undefined;
    this.#file.log = id === undefined ? undefined : { id, path };
  }

  /** Why what is opened by its path now would be another, `undefined` where it would not or nobody can tell. */
  replaced(): string | undefined {
    try {
      const present = identityOf(this.#path);
      if (present?.id === this.id) return undefined;
      return present === undefined ? 'its file is gone' : 'another file is in its place';
    } catch {
      // What can not be looked at now can be looked at later.
      return undefined;
    }
  }

  /** The connection has been closed. */
  closed(): void {
    this.#file.users.delete(this.#self);
    if (isOver(this.#file) && known.get(this.id) === this.#file) known.delete(this.id);
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
    if (isOver(file)) known.delete(id);
    // Of the file itself it has to be the one it has been open with: two of one file would not know of each other.
    else if (present?.id === id && isSame(file, present.birth) ? isReplaced(file, log) : isLogOf(file, log))
      return logPath;
  }
  if (former === undefined || former.id === present?.id) return undefined;
  const journal = logPath.replace(/wal$/, 'journal');
  const file = known.get(former.id);
  return isHot(journal, file !== undefined && isInUse(file)) ? journal : undefined;
}

function isInUse({ users }: KnownFile): boolean {
  for (const user of users) {
    if (user.deref() !== undefined) return true;
    users.delete(user);
  }
  return false;
}

/** Whether one of the same identity is this file: it is, for as long as somebody has it open. */
function isSame(file: KnownFile, birth: bigint): boolean {
  return file.birth === birth || isInUse(file);
}

/** Whether its write-ahead log was taken away, or another put in its place, while it is open. */
function isReplaced(file: KnownFile, present: string | undefined): boolean {
  return file.log !== undefined && file.log.id !== present && isInUse(file);
}

function isLogOf({ log }: KnownFile, present: string | undefined): boolean {
  return log !== undefined && log.id === present;
}

/** Whether nothing of it can be mixed with another: nobody has it open, nor is its write-ahead log there with something in it. */
function isOver(file: KnownFile): boolean {
  if (isInUse(file)) return false;
  const { log } = file;
  return log === undefined || logIdentityOf(log.path) !== log.id || statSync(log.path).size === 0;
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
function isHot(journal: string, isFormerOpen: boolean): boolean {
  if ((statSync(journal, { throwIfNoEntry: false })?.size ?? 0) === 0) return false;
  if (isFormerOpen) return true;
  const descriptor = openSync(journal, 'r');
  try {
    const head = Buffer.alloc(8);
    readSync(descriptor, head, 0, 8, 0);
    return head.some((byte) => byte !== 0);
  } finally {
    closeSync(descriptor);
  }
}
