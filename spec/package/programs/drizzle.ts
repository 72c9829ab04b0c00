import { sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { drizzle } from '../../../lib/orm/drizzle.ts';
import { openPool, run, turn } from './support.ts';

const visits = sqliteTable('visit', { name: text().notNull() });

run(async () => {
  const pool = await openPool();
  const db = drizzle(pool);
  const visit = (name: string) =>
    db.transaction(async (transaction) => {
      await transaction.insert(visits).values({ name });
      await turn();
      if (name === 'refused') throw new Error('No admittance');
    });
  await visit('kept');
  await visit('refused').catch(() => {});
  await pool.close();
});
