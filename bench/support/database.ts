import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';

const rowCount = 10_000;
/** Few, so that transactions at once meet on the same row. */
const accountCount = 8;

/** The statement of every row that selects. */
export const selectByKey = 'SELECT id, name, value FROM items WHERE id = ?';

/** Keys in an order that is the same for all and no run of neighbours. 7919 shares no factor with 10 000. */
export function keyOf(operation: number): number {
  return 1 + ((operation * 7919) % rowCount);
}

/** What transactions are about: they read a balance, and write it with 1 added. */
export const selectBalance = 'SELECT balance FROM accounts WHERE id = ?';
export const updateBalance = 'UPDATE accounts SET balance = ? WHERE id = ?';

/** The account of an operation, each in its turn. */
export function accountOf(operation: number): number {
  return 1 + (operation % accountCount);
}

/** A connection as Leasehold opens it by default: same pragmas, same busy timeout. */
export function openDatabase(file: string): Database.Database {
  const db = new Database(file, { timeout: 1000 });
  applyPragmas(db);
  return db;
}

/** The pragmas alone, for a connection that somebody else opens. */
export function applyPragmas(db: Database.Database): void {
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = NORMAL');
  db.pragma('foreign_keys = ON');
}

/**
 * Runs `use` with a file that holds a table of 10 000 rows and one of 8 accounts with a balance of 0, and removes it
 * afterwards, with all that is beside it.
 */
export async function withDatabaseFile<Result>(use: (file: string) => Promise<Result>): Promise<Result> {
  const directory = mkdtempSync(join(tmpdir(), 'leasehold-bench-'));
  try {
    const file = join(directory, 'bench.db');
    seed(file);
    return await use(file);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A copy of the file of `withDatabaseFile`, beside it. Nobody may have opened the file: copying drops its locks. */
export function copyOf(file: string, name: string): string {
  const copy = join(dirname(file), `${name}.db`);
  copyFileSync(file, copy);
  return copy;
}

function seed(file: string): void {
  const db = openDatabase(file);
  try {
    db.exec('CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, value REAL NOT NULL)');
    db.exec('CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)');
    const item = db.prepare('INSERT INTO items VALUES (?, ?, ?)');
    const account = db.prepare('INSERT INTO accounts VALUES (?, 0)');
    db.transaction(() => {
      for (let id = 1; id <= rowCount; id++) item.run(id, `item ${id}`, id / 7);
      for (let id = 1; id <= accountCount; id++) account.run(id);
    })();
  } finally {
    db.close();
  }
}
