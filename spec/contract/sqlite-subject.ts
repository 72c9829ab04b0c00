import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { LeasedDatabase, TransactionOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { type ContractHandle, type ContractTransactionOptions, patient, type Subject } from './subject.ts';

type Db = Pick<LeasedDatabase, 'prepare' | 'pragma'> & { close(): unknown } & {
  exec(sql: string): unknown;
} & ContractHandle;

export const sqlite: Subject<Db> = {
  name: 'SQLite',
  async place(t) {
    const file = temporaryFile(t);
    const raw = new Database(file, { timeout: 0 });
    t.teardown(() => void raw.close());
    raw.pragma('journal_mode = WAL');
    raw.exec(`
      CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT);
      CREATE TABLE number (n);
      INSERT INTO number VALUES (0);
      CREATE TABLE part (item REFERENCES item DEFERRABLE INITIALLY DEFERRED);`);
    return {
      open(options, clock) {
        const pool = new SqlitePool(file, { name: 'app', ...patient, ...options }, clock);
        t.teardown(() => pool.close({ timeout: 0 }));
        return pool;
      },
      async add() {
        raw.exec('UPDATE number SET n = n + 1');
      },
    };
  },
  nowhere(t) {
    const pool = new SqlitePool(join(temporaryDirectory(t), 'missing', 'app.db'), { name: 'app', ...patient });
    t.teardown(() => pool.close({ timeout: 0 }));
    return pool;
  },

  async insert(db, name) {
    db.prepare('INSERT INTO item (name) VALUES (?)').run(name);
  },
  async names(db) {
    return db.prepare<[], string>('SELECT name FROM item ORDER BY id').pluck().all();
  },
  async number(db) {
    return db.prepare<[], number>('SELECT n FROM number').pluck().get() ?? NaN;
  },
  async add(db) {
    db.prepare('UPDATE number SET n = n + 1').run();
  },
  async fail(db) {
    db.prepare('SELECT json(?)').get('no json');
  },
  refusal: { code: 'SQLITE_ERROR' },
  async failAtCommit(db) {
    db.prepare('INSERT INTO part VALUES (-1)').run();
  },
  commitRefusal: { code: 'SQLITE_CONSTRAINT_FOREIGNKEY' },
  async begin(db) {
    db.exec('BEGIN');
  },
  async commit(db) {
    db.exec('COMMIT');
  },
  async releaseAgain(db) {
    db.close();
  },
  async change(db) {
    db.pragma('cache_size = 123');
  },
  async isChanged(db) {
    return db.pragma('cache_size', { simple: true }) === 123;
  },

  snapshot: { mode: 'deferred' } satisfies TransactionOptions as ContractTransactionOptions,
  conflict: { code: 'SQLITE_BUSY_SNAPSHOT' },
  writersTakeTurns: true,
  failureEndsTransaction: false,
  resets: false,
  opensAtOnce: true,
};
