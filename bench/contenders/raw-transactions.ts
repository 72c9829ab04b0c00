import type Database from 'better-sqlite3';
import { openDatabase, selectBalance, updateBalance } from '../support/database.ts';
import { oneMillisecond } from './transactor.ts';

/**
 * One better-sqlite3 connection and the transactions of the mixes, by statements that are prepared once: the least
 * that can be done for them. Knows nobody else, so whoever has it must have it alone until the promise settles.
 */
export class RawTransactions {
  readonly db: Database.Database;
  readonly #beginImmediate: Database.Statement;
  readonly #begin: Database.Statement;
  readonly #commit: Database.Statement;
  readonly #rollback: Database.Statement;
  readonly #select: Database.Statement<[number], number>;
  readonly #update: Database.Statement<[number, number]>;

  constructor(file: string) {
    const db = openDatabase(file);
    this.db = db;
    this.#beginImmediate = db.prepare('BEGIN IMMEDIATE');
    this.#begin = db.prepare('BEGIN');
    this.#commit = db.prepare('COMMIT');
    this.#rollback = db.prepare('ROLLBACK');
    this.#select = db.prepare<[number], number>(selectBalance).pluck();
    this.#update = db.prepare(updateBalance);
  }

  async write(account: number): Promise<void> {
    this.#beginImmediate.run();
    try {
      const balance = this.#balance(account);
      await oneMillisecond();
      this.#update.run(balance + 1, account);
      this.#commit.run();
    } catch (error) {
      if (this.db.inTransaction) this.#rollback.run();
      throw error;
    }
  }

  async read(account: number): Promise<readonly [number, number]> {
    this.#begin.run();
    try {
      const first = this.#balance(account);
      await oneMillisecond();
      const second = this.#balance(account);
      this.#commit.run();
      return [first, second];
    } catch (error) {
      if (this.db.inTransaction) this.#rollback.run();
      throw error;
    }
  }

  #balance(account: number): number {
    const balance = this.#select.get(account);
    if (balance === undefined) throw new Error(`There is no account ${account}`);
    return balance;
  }
}
