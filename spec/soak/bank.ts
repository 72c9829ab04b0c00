import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import Database from 'better-sqlite3';

export const accounts = 40;
export const startBalance = 1000;
export const total = accounts * startBalance;

/** Money that goes from one account to another. */
export interface Transfer {
  readonly source: number;
  readonly target: number;
  readonly amount: number;
}

export const sql = {
  balance: 'SELECT balance FROM account WHERE id = ?',
  setBalance: 'UPDATE account SET balance = ? WHERE id = ?',
  total: 'SELECT sum(balance) FROM account',
  note: 'INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?)',
} as const;

/** Makes the database, which must not exist. */
export function foundBank(file: string): void {
  const db = new Database(file);
  try {
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = NORMAL');
    db.exec(`
      CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0));
      CREATE TABLE journal (
        worker INTEGER, incarnation INTEGER, number INTEGER,
        source INTEGER NOT NULL REFERENCES account (id), target INTEGER NOT NULL REFERENCES account (id),
        amount INTEGER NOT NULL CHECK (amount >= 0),
        PRIMARY KEY (worker, incarnation, number)
      ) WITHOUT ROWID;`);
    const insert = db.prepare('INSERT INTO account VALUES (?, ?)');
    for (let id = 1; id <= accounts; id++) insert.run(id, startBalance);
  } finally {
    db.close();
  }
}

/** The transfers of one process that are in the file. */
export function transfersOf(file: string, worker: number, incarnation: number): Set<number> {
  const db = new Database(file, { fileMustExist: true });
  try {
    const select = db.prepare<number[], number>('SELECT number FROM journal WHERE worker = ? AND incarnation = ?');
    return new Set(select.pluck().all(worker, incarnation));
  } finally {
    db.close();
  }
}

/** What is wrong with the money: its sum, and each account beside what the journal makes of it. */
export function moneyFaults(db: Database.Database): string[] {
  const faults: string[] = [];
  const sum = db.prepare(sql.total).pluck().get();
  if (sum !== total) faults.push(`the accounts hold ${String(sum)} of ${total}`);
  const wrong = db
    .prepare<[number], { id: number; balance: number; expected: number }>(`
      SELECT id, balance, ? + coalesce(came, 0) - coalesce(went, 0) AS expected FROM account
      LEFT JOIN (SELECT target, sum(amount) AS came FROM journal GROUP BY target) ON target = id
      LEFT JOIN (SELECT source, sum(amount) AS went FROM journal GROUP BY source) ON source = id
      WHERE balance <> expected`)
    .all(startBalance);
  if (wrong.length > 0) {
    const [{ id, balance, expected }] = wrong as [(typeof wrong)[number]];
    faults.push(
      `${wrong.length} accounts differ from the journal: account ${id} has ${balance}, which should be ${expected}`,
    );
  }
  return faults;
}

/** What is wrong with the file itself. */
export function integrityFaults(db: Database.Database): string[] {
  const faults: string[] = [];
  const found = db.pragma('integrity_check', { simple: true });
  if (found !== 'ok') faults.push(`integrity_check: ${String(found)}`);
  const orphans = db.pragma('foreign_key_check') as unknown[];
  if (orphans.length > 0) faults.push(`foreign_key_check: ${orphans.length} rows`);
  return faults;
}

/** Calls `look` on a connection of its own. */
export function lookAt<Result>(file: string, look: (db: Database.Database) => Result): Result {
  const db = new Database(file, { fileMustExist: true });
  try {
    return look(db);
  } finally {
    db.close();
  }
}

/** What is beside the database when nobody has it open: nothing, if it was closed well. */
export function filesBeside(file: string): string[] {
  if (!existsSync(file)) return [`no ${basename(file)}`];
  return readdirSync(dirname(file)).filter((name) => name.startsWith(`${basename(file)}-`));
}
