/*
 * What SQLite itself is asked about the file, and in which form a process of its own tells it. Everything in here can be sent from
 * one process to another.
 */

export type IntegrityLevel = 'none' | 'quick' | 'full';

/** What the process that examines is to do. */
export interface Job {
  /** With links resolved. */
  readonly path: string;
  /** Process that started it, without which it has nothing to do. */
  readonly parent: number;
  /** An empty directory of its own, for a copy or for a name that can be opened. */
  readonly workspace: string;
  readonly where: 'in place' | 'copy';
  /** Whether the log and its index have to be there: SQLite would make them otherwise, and leave them. */
  readonly needsLog: boolean;
  /** Longest wait for a lock, in all. */
  readonly timeout: number;
  readonly integrity: IntegrityLevel;
  /** Whether rows without their parents are looked for. */
  readonly keys: boolean;
  /** Whether every page is asked whose it is. */
  readonly pages: boolean;
}

/** How far it has come. */
export interface Step {
  readonly phase: 'copy' | 'pages' | 'integrity' | 'keys' | 'whole';
  /** Of a table. */
  readonly name: string | undefined;
  /** Share of the phase that is done before this step, and with it: 0 to 1. */
  readonly from: number;
  readonly to: number;
}

export type Message =
  | { readonly step: Step }
  /** Added to what was told before, so that little is lost where the process does not come to its end. */
  | { readonly part: Partial<Examination> }
  | { readonly done: true };

/** `undefined` is what was not come to. */
export interface Examination {
  readonly settings: Settings | undefined;
  readonly tables: Tables | undefined;
  readonly pages: Pages | undefined;
  readonly integrity: Integrity | undefined;
  readonly keys: Keys | undefined;
  readonly unindexed: readonly UnindexedKey[] | undefined;
  readonly statistics: Statistics | undefined;
  /** What ended it, or a part of it. */
  readonly failures: readonly Failure[];
}

export interface Settings {
  readonly pageSize: number;
  readonly pageCount: number;
  readonly freePages: number;
  readonly autoVacuum: 'none' | 'full' | 'incremental';
  readonly userVersion: number;
  readonly applicationId: number;
  readonly encoding: string;
}

export interface Tables {
  readonly tables: number;
  readonly indexes: number;
  readonly virtual: number;
  readonly views: number;
  readonly triggers: number;
}

/** Whose each page is. */
export interface Pages {
  /** Largest first. */
  readonly trees: readonly Tree[];
  /** Pages that are nobody's, nor free. */
  readonly lost: number;
  /** Pages that are part of two at a time; the first hundred. */
  readonly shared: readonly { readonly page: number; readonly first: string; readonly second: string }[];
  readonly sharedCount: number;
}

/** A table or an index. */
export interface Tree {
  readonly name: string;
  readonly pages: number;
  /** Entries: of a table its rows. */
  readonly entries: number;
  readonly unusedBytes: number;
}

export interface Integrity {
  readonly level: IntegrityLevel;
  /** How many tables were looked at, with their indexes. */
  readonly checked: number;
  /** The first hundred, in SQLite's words. `table` is absent for what is of no table. */
  readonly problems: readonly { readonly table: string | undefined; readonly message: string }[];
  /** More than those were found. */
  readonly isCut: boolean;
  readonly skipped: readonly Skipped[];
  /** Tables whose CHECK constraints could not be tried: they need functions that only the application has. */
  readonly unchecked: readonly Skipped[];
  readonly elapsed: number;
}

/** Of a table that could not be had for all the time that was to be waited. */
export const lockedReason = 'it was locked';

export interface Skipped {
  readonly table: string;
  readonly reason: string;
}

export interface Keys {
  /** How many tables with foreign keys were looked at. */
  readonly checked: number;
  readonly violations: readonly Violation[];
  readonly skipped: readonly Skipped[];
  readonly elapsed: number;
}

/** Rows of one table whose parent is not there. */
export interface Violation {
  readonly table: string;
  readonly columns: readonly string[];
  readonly parent: string;
  readonly count: number;
  /** Of the first ones, as SQL has them: a number can not hold each of them. None for a table without rowids. */
  readonly rowids: readonly string[];
  /** By which name rowids are had in SQL: columns may have taken some of these names, or all. */
  readonly rowidName: string | undefined;
}

/** A foreign key whose column has no index: to delete a row of the parent all rows of the table are read. */
export interface UnindexedKey {
  readonly table: string;
  readonly columns: readonly string[];
  readonly parent: string;
  /** A name for it that is free. */
  readonly index: string;
}

export interface Statistics {
  readonly isMissing: boolean;
  /** Tables with an index that are large enough for it to matter. */
  readonly concerned: number;
  /** Tables of which the statistics say another size. Empty where sizes are not known. */
  readonly stale: readonly { readonly table: string; readonly told: number; readonly rows: number }[];
}

export interface Failure {
  readonly during: 'copy' | 'open' | 'tables' | 'pages' | 'integrity' | 'keys' | 'statistics';
  /** Of the error, as `SQLITE_BUSY`; or `CHANGED`, `SPACE`, `ENDED`. */
  readonly code: string;
  readonly message: string;
}
