/*
 * What can be told of a database file from outside: without opening it with SQLite, so without a lock, without waiting and without
 * writing. Times are milliseconds since 1970. `undefined` is what could not be told; `FileState.untold` says why.
 */

/** One look at a file and at what lies beside it. */
export interface FileState {
  /** With links resolved, as SQLite does before it looks for what lies beside the file; as it was asked for where there is nothing. */
  readonly path: string;
  /** When it was looked at. */
  readonly at: number;
  readonly kind: 'file' | 'missing' | 'directory' | 'other' | 'unreachable';
  /** Code of the error that kept it from being looked at or read, as `EACCES`. */
  readonly error: string | undefined;
  readonly size: number | undefined;
  readonly modified: number | undefined;
  /** What its first bytes say that it is. */
  readonly content: 'database' | 'empty' | 'other' | undefined;
  /** `undefined` unless the content is that of a database, and the header whole. */
  readonly header: DatabaseHeader | undefined;
  /** The write-ahead log beside it; `undefined` where there is none. */
  readonly wal: WalState | undefined;
  /** The index of the write-ahead log, in the file `-shm`; `undefined` where there is none. */
  readonly index: WalIndex | undefined;
  /** The rollback journal beside it; `undefined` where there is none. */
  readonly journal: JournalState | undefined;
  /** Endings of names beside it, as `-wal`, under which there is something other than a file. */
  readonly strangers: readonly string[];
  /** Those that have the file, its log or the index of that open. */
  readonly processes: readonly FileProcess[] | undefined;
  /** How many processes there are whose open files may not be looked at. */
  readonly hiddenProcesses: number | undefined;
  readonly locks: FileLocks | undefined;
  /** Whether it was looked at from a container, or another PID namespace: then processes outside of that, and their locks, are not told. */
  readonly isConfined: boolean;
  /** Processes that do not use this file together with the log beside it. As it is for a moment while one opens or closes the file. */
  readonly stranded: readonly Stranded[];
  /** Sentences: what could not be told, and why. */
  readonly untold: readonly string[];
}

/** The first hundred bytes of the file. */
export interface DatabaseHeader {
  readonly pageSize: number;
  /** Bytes at the end of each page that SQLite leaves to an extension, such as one that encrypts. */
  readonly reserved: number;
  /** Bytes 18 and 19: how it is written and read. */
  readonly journal: 'rollback' | 'wal' | 'unknown';
  readonly changeCounter: number;
  /** As the header says. 0 where it does not count: then the size of the file does. */
  readonly pages: number;
  readonly freePages: number;
  readonly schemaCookie: number;
  readonly autoVacuum: 'none' | 'full' | 'incremental';
  readonly encoding: 'UTF-8' | 'UTF-16le' | 'UTF-16be' | 'unknown';
  readonly userVersion: number;
  readonly applicationId: number;
  /** Of the SQLite that wrote last, as 3054001. */
  readonly sqliteVersion: number;
}

export interface WalState {
  readonly bytes: number;
  readonly modified: number;
  /** Room for frames in the file. Those after `WalIndex.frames` are of a former round and count no more. */
  readonly frames: number;
  /** Of its header; `undefined` while there is none. */
  readonly pageSize: number | undefined;
  /** Counts up with each round: when the log begins from its start again. */
  readonly round: number | undefined;
  /** In hexadecimal: another one with each round. */
  readonly salt: string | undefined;
}

export interface WalIndex {
  readonly bytes: number;
  /** Whether what follows could be read whole; where it could not it is all 0. */
  readonly valid: boolean;
  /** Counts up with each commit, from 0 again when the index is made anew. */
  readonly changes: number;
  /** Frames in the log that count. */
  readonly frames: number;
  /** How many of them are in the database file already. */
  readonly backfilled: number;
  /** Pages of the database after the last commit. */
  readonly pages: number;
  /** As `WalState.salt`: of another round where it differs. */
  readonly salt: string;
  /** Up to which frame readers of each of the five marks see; `undefined` for a mark that is not in use. */
  readonly marks: readonly (number | undefined)[];
}

export interface JournalState {
  readonly bytes: number;
  readonly modified: number;
  /** Whether its head is there. It is not in one whose transaction has ended and that was kept. */
  readonly hasHead: boolean;
  /** Whether the next one to open the file rolls it back: it has a head, and nobody holds a lock to write. */
  readonly isHot: boolean | undefined;
}

export interface FileProcess {
  readonly pid: number;
  /** Its arguments, or its name where those can not be read. As the process gave it: escape it before it is shown. */
  readonly command: string;
  readonly started: number | undefined;
  /** Descriptors of the database file: as a rule one a connection. */
  readonly descriptors: number;
  /** Whether one of them can write. */
  readonly canWrite: boolean | undefined;
}

export interface Stranded {
  readonly pid: number;
  /**
   * `no log`: its log was deleted. `no index`: only the index of its log was. `other log`: its log is beside another name. `other file`:
   * the log beside this file is its log of another one, which had this place before. `unseen`: there is no log where it may have one, and
   * what it has open may not be looked at.
   */
  readonly how: 'no log' | 'no index' | 'other log' | 'other file' | 'unseen';
  /** Where its log is under another name, as the process knows it. */
  readonly log: string | undefined;
}

/** Processes by their numbers. Within one process the connections share its locks. */
export interface FileLocks {
  /** Who may write now: a transaction that writes is open in it. */
  readonly writer: number | undefined;
  /**
   * In WAL mode: who keeps all others out, as with `locking_mode = EXCLUSIVE`. Whether it writes nobody else can tell, as its index of
   * the log is in its own memory.
   */
  readonly exclusive: number | undefined;
  /** Without a WAL: it writes to the file itself at present, or waits for readers to end so that it can. */
  readonly committing: number | undefined;
  /** Who copies the log into the database. */
  readonly checkpointer: number | undefined;
  /** Who makes the index of the log anew. */
  readonly recoverer: number | undefined;
  /** Transactions that read. With a WAL the mark says what they see. */
  readonly readers: readonly ReaderLock[];
  /** Who is connected with a WAL, or without one reads. */
  readonly users: readonly number[];
  /** Who uses the index of the log that is beside the file. */
  readonly connected: readonly number[];
  /** Who waits for a lock inside the system; SQLite itself asks again and again instead, which nobody can see. */
  readonly blocked: readonly number[];
}

export interface ReaderLock {
  readonly pid: number;
  /** 0 to 4; `undefined` without a WAL. At mark 0 only the database file is read, which keeps the log from being copied into it. */
  readonly mark: number | undefined;
  /** Up to which frame it sees. */
  readonly frame: number | undefined;
  /** Whether it keeps frames of the log from being copied into the database, so that the log grows. */
  readonly pins: boolean;
}
