import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';

const rowCount = 10_000;

/** The statement of every row that selects. */
export const selectByKey = 'SELECT id, name, value FROM items WHERE id = ?';

/** Keys in an order that is the same for all and no run of neighbours. 7919 shares no factor with 10 000. */
export function keyOf(operation: number): number {
  return 1 + ((operation * 7919) % rowCount);
}

/** A connection as Leasehold opens it by default: same pragmas, same busy timeout. */
export function openDatabase(file: string): Database.Database {
  const db = new Database(file, { timeout: 1000 });
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = NORMAL');
  db.pragma('foreign_keys = ON');
  return db;
}

/** Runs `use` with a file that holds a table of 10 000 rows, and removes it afterwards. */
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

function seed(file: string): void {
  const db = openDatabase(file);
  try {
    db.exec('CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, value REAL NOT NULL)');
    const insert = db.prepare('INSERT INTO items VALUES (?, ?, ?)');
    db.transaction(() => {
      for (let id = 1; id <= rowCount; id++) insert.run(id, `item ${id}`, id / 7);
    })();
  } finally {
    db.close();
  }
}
