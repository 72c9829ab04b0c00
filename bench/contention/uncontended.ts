import { createPool, type SqlitePool } from '../../lib/index.ts';
import { max, nothing } from '../contenders/contender.ts';
import { leftIn } from '../contenders/leasehold-transactions.ts';
import { copyOf, openDatabase } from '../support/database.ts';
import { medianNanoseconds } from '../support/measure.ts';
import { audit } from './audit.ts';
import type { Comparison, Side } from './comparison.ts';

/** With a balance of 1, so that the sum of all tells how many were written. */
const insert = 'INSERT INTO accounts (balance) VALUES (1)';

/** What a transaction costs that nobody is in the way of, beside the statements it consists of. */
export const uncontended: Comparison = {
  id: 'uncontended',
  title: () => 'an uncontended transaction of one insert',
  // Short and often: what writing to a file takes can be half as much again in the next second.
  size: { times: 1000, queued: 0 },
  share: 8,
  quick: { times: 200, queued: 0 },
  open(template, { times }) {
    const subjects = [
      floor(copyOf(template, 'floor'), times),
      pooled(copyOf(template, 'alone'), 'pool.transaction', times, (_, work) => work()),
      pooled(copyOf(template, 'bound'), 'pool.transaction in withConnection', times, (pool, work) =>
        pool.withConnection(work),
      ),
    ];
    return {
      sides: subjects,
      async close() {
        for (const { end } of subjects) await end();
      },
    };
  },
};

interface Subject extends Side {
  /** Checks that all was written and nothing is left, and closes. */
  end(): Promise<void>;
}

/** Kept statements on one connection, and one `await`, without which no promise could be given. */
function floor(file: string, times: number): Subject {
  const db = openDatabase(file);
  const [begin, add, commit] = [db.prepare('BEGIN IMMEDIATE'), db.prepare(insert), db.prepare('COMMIT')];
  let written = 0;
  const transact = () => {
    begin.run();
    add.run();
    commit.run();
    return nothing(db);
  };
  return {
    name: 'floor',
    sample() {
      written += times;
      return medianNanoseconds(times, transact);
    },
    async end() {
      await audit('floor', file, { left: () => ({ inTransaction: Number(db.inTransaction) }) }, written);
      db.close();
    },
  };
}

function pooled(
  file: string,
  name: string,
  times: number,
  within: (pool: SqlitePool, work: () => Promise<number>) => Promise<number>,
): Subject {
  const pool = createPool(file, { max });
  let written = 0;
  const transact = () =>
    pool.transaction((tx) => {
      tx.prepare(insert).run();
    });
  return {
    name,
    sample() {
      written += times;
      return within(pool, () => medianNanoseconds(times, transact));
    },
    async end() {
      await audit(name, file, { left: () => leftIn(pool) }, written);
      await pool.close();
    },
  };
}
