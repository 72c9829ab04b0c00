import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { createPool, type SqlitePool } from '../../../lib/index.ts';

/** A pool on a new file with a table for whoever comes by. */
export async function openPool(): Promise<SqlitePool> {
  const pool = createPool('app.db');
  await pool.run('CREATE TABLE visit (name TEXT NOT NULL)');
  return pool;
}

/** Lets everybody else have a turn, as any real work of a request does. */
export const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Writes within whatever the caller is in, and not on behalf of it. */
export async function visit(pool: SqlitePool, name: string): Promise<void> {
  pool.db.prepare('INSERT INTO visit VALUES (?)').run(name);
  await turn();
  if (name === 'refused') throw new Error('No admittance');
}

/** Sends a request that is kept and one that fails, and stops the server. */
export async function send(server: Server, path: (name: string) => string): Promise<void> {
  if (!server.listening) await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  for (const name of ['kept', 'refused']) {
    const response = await fetch(`http://127.0.0.1:${port}${path(name)}`, { headers: { connection: 'close' } });
    await response.text();
    if (response.ok !== (name === 'kept')) throw new Error(`${name}: ${response.status}`);
  }
  const closed = once(server, 'close');
  server.close();
  await closed;
}

export function serve(listener: RequestListener): Server {
  return createServer(listener).listen(0, '127.0.0.1');
}

export const byPath = (name: string): string => `/${name}`;

/** Runs a program to its end, and says so. */
export function run(main: () => Promise<void>): void {
  main().then(
    () => console.log(`done on ${process.version}`),
    (error: unknown) => {
      console.error(error);
      process.exitCode = 1;
    },
  );
}
