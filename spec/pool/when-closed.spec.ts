import test from 'ava';
import { whenClosed } from '../../lib/pool/observable.ts';
import { fakePool } from '../support/driver.ts';

test('of those who want to know that a pool has closed, one that throws keeps neither the others nor the close', async (t) => {
  const { pool } = fakePool(t);
  const told: string[] = [];
  pool[whenClosed](() => told.push('first'));
  pool[whenClosed](() => {
    throw new Error('It fails while it stops watching');
  });
  const forget = pool[whenClosed](() => told.push('forgotten'));
  pool[whenClosed](() => told.push('last'));
  forget();
  await pool.close();
  t.deepEqual(told, ['first', 'last']);
  await pool.close();
  t.deepEqual(told, ['first', 'last'], 'once');
});
