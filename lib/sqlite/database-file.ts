import { realpathSync, statSync } from 'node:fs';

/**
 * Which file has a name at present: its device and inode, which no two files have that exist at a time. `undefined` where
 * there is none.
 * @throws what the file system says, but for a file that is not there
 */
export function identityOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? undefined : `${found.dev}:${found.ino}`;
}

/**
 * A database file as it was when a connection to it was opened. While that is open nobody else can get its identity, though
 * the file may have lost its name, or got another.
 */
export class DatabaseFile {
  /** As it was asked for: perhaps a link. */
  readonly #path: string;
  readonly #realPath: string;
  readonly id: string;
  /** Of its write-ahead log, `undefined` where it has none. It stays the same as long as anybody has the file open. */
  readonly #log: string | undefined;

  /** @throws what the file system says, also where there is none */
  constructor(path: string) {
    this.#path = path;
    this.#realPath = realpathSync.native(path);
    this.id = identityOf(path) ?? '';
    this.#log = identityOf(this.#logPath);
  }

  /** SQLite keeps it beside the file itself, where the path is that of a link. */
  get #logPath(): string {
    return `${this.#realPath}-wal`;
  }

  /** Why what is opened by its path now would be another, `undefined` where it would not or nobody can tell. */
  replaced(): string | undefined {
    try {
      const present = identityOf(this.#path);
      if (present === this.id) return undefined;
      return present === undefined ? 'its file is gone' : 'another file is in its place';
    } catch {
      return undefined;
    }
  }

  /**
   * What is left of it beside the file that has its name now: SQLite would take that for a part of the new one, and mix the
   * two. Nothing where whoever replaced it took its write-ahead log and journal away as well.
   *
   * @param isOpen whether connections to the former file are open, which may go on to write what is beside the new one
   */
  leftBehind(isOpen: boolean): string | undefined {
    if (this.#log !== undefined && identityOf(this.#logPath) === this.#log && (isOpen || sizeOf(this.#logPath) > 0n)) {
      return this.#logPath;
    }
    const journal = `${this.#realPath}-journal`;
    return isOpen && sizeOf(journal) > 0n ? journal : undefined;
  }
}

function sizeOf(path: string): bigint {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.size ?? 0n;
}
