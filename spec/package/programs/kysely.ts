import { Kysely } from 'kysely';
import { LeaseholdDialect } from '../../../lib/orm/kysely.ts';
import { openPool, run, turn } from './support.ts';

run(async () => {
  const pool = await openPool();
  const db = new Kysely<{ visit: { name: string } }>({ dialect: new LeaseholdDialect({ pool }) });
  const visit = (name: string) =>
    db.transaction().execute(async (transaction) => {
      await transaction.insertInto('visit').values({ name }).execute();
      await turn();
      if (name === 'refused') throw new Error('No admittance');
    });
  await visit('kept');
  await visit('refused').catch(() => {});
  await db.destroy();
  await pool.close();
});
