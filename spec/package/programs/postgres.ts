import { createPool } from '../../../lib/index.ts';
import { type LeasedClient, postgres } from '../../../lib/postgres.ts';
import { openPool, run, turn, visit } from './support.ts';

/** Keeps and refuses on a server, and carries what is there home into a file. */
run(async () => {
  const url = process.env['DATABASE_URL'];
  if (url === undefined) throw new Error('Set DATABASE_URL.');
  const server = createPool(postgres(url), { max: 2 });
  await server.query('DROP TABLE IF EXISTS visit');
  await server.query('CREATE TABLE visit (name TEXT NOT NULL)');
  const come = (name: string) =>
    server.transaction(
      async (tx: LeasedClient) => {
        await tx.query('INSERT INTO visit VALUES ($1)', [name]);
        await turn();
        if (name === 'refused') throw new Error('No admittance');
      },
      { isolation: 'serializable', retries: 2 },
    );
  await come('kept');
  await come('refused').catch(() => {});

  const file = await openPool();
  await server.withConnection(async (db) => {
    for await (const { name } of db.iterate<{ name: string }>('SELECT name FROM visit', [], { batch: 10 })) {
      await file.transaction(() => visit(file, name));
    }
  });
  await file.close();
  await server.close();
});
