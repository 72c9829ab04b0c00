import knex from 'knex';
import { knexClient } from '../../../lib/orm/knex.ts';
import { openPool, run, turn } from './support.ts';

run(async () => {
  const pool = await openPool();
  const db = knex({ client: knexClient(pool), useNullAsDefault: true });
  const visit = (name: string) =>
    db.transaction(async (transaction) => {
      await transaction('visit').insert({ name });
      await turn();
      if (name === 'refused') throw new Error('No admittance');
    });
  await visit('kept');
  await visit('refused').catch(() => {});
  await db.destroy();
  await pool.close();
});
