import { setImmediate } from 'node:timers/promises';
import Database from 'better-sqlite3';
import type { Transactions } from '../contenders/transactor.ts';

/**
 * Ends a run that was not what it says: a write that was lost, or something that is still held, open or waited for.
 * Leaves an empty WAL behind, so that no turn begins with what the one before has written.
 *
 * @param written all writes committed to the file so far
 */
export async function audit(name: string, file: string, transactions: Pick<Transactions, 'left'>, written: number) {
  // Some give back what they held only after the promise of the operation.
  await setImmediate();
  for (const [what, count] of Object.entries(transactions.left())) {
    if (count !== 0) throw new Error(`${name} ended with ${what} ${count}`);
  }
  const db = new Database(file, { timeout: 0 });
  try {
    const sum = Number(db.prepare('SELECT sum(balance) FROM accounts').pluck().get());
    if (sum !== written) throw new Error(`${name} committed ${written} writes, of which the file has ${sum}`);
    // Fails at once while anybody, known to the contender or not, has a write transaction open on the file. And it
    // gives the checkpoint something to do, or it would not meet a snapshot of a file that nobody has written.
    db.exec('UPDATE items SET value = value + 1 WHERE id = 1');
    const [checkpoint] = db.pragma('wal_checkpoint(TRUNCATE)') as { readonly busy: number }[];
    if (checkpoint?.busy !== 0) throw new Error(`${name} ended with a snapshot open`);
  } finally {
    db.close();
  }
}
