import type Database from 'better-sqlite3';

/** A connection of better-sqlite3. */
export type RawDatabase = Database.Database & {
  /** Missing in the published types. */
  explain(source: string): unknown[];
};

/** A prepared statement of better-sqlite3. */
export type RawStatement = Database.Statement;

/** The class `better-sqlite3` exports, or another of the same API. */
export type DatabaseClass = new (filename: string, options?: Database.Options) => Database.Database;
