import { Client } from 'pg';
import { launchServer } from '../../spec/support/postgres-server.ts';
import { UsageError } from '../support/bench.ts';

/** A database of the bench's own. */
export interface BenchDatabase {
  readonly url: string;
  /** `18.4` */
  readonly version: string;
  /** What transactions have counted in a row. */
  countOf(id: number): Promise<number>;
}

/** Rows in which transactions count. Each contender has its own, so that none waits for another's. */
const counters = 16;

/**
 * Runs `use` with a new database on the server of DATABASE_URL, or on one that is started for it, and removes it afterwards. A
 * server that is started here writes nothing through to the disk; one that was there does what it is set to.
 */
export async function withDatabase<Result>(use: (database: BenchDatabase) => Promise<Result>): Promise<Result> {
  const given = process.env['DATABASE_URL'];
  if (given) return onServer(given, use);
  const server = await launchServer({ settings: { max_connections: 200 } });
  try {
    return await onServer(server.url(), use);
  } finally {
    await server.close();
  }
}

async function onServer<Result>(url: string, use: (database: BenchDatabase) => Promise<Result>): Promise<Result> {
  const admin = await connect(url);
  try {
    const name = `leasehold_bench_${process.pid}_${Date.now().toString(36)}`;
    await admin.query(`CREATE DATABASE ${name} TEMPLATE template0`);
    try {
      return await onDatabase(url, name, use);
    } finally {
      await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
    }
  } finally {
    await admin.end();
  }
}

async function onDatabase<Result>(
  server: string,
  name: string,
  use: (database: BenchDatabase) => Promise<Result>,
): Promise<Result> {
  const own = new URL(server);
  own.pathname = `/${name}`;
  const url = own.href;
  const auditor = await connect(url);
  try {
    await auditor.query('CREATE TABLE counters (id int PRIMARY KEY, count int NOT NULL) WITH (fillfactor = 10)');
    await auditor.query('INSERT INTO counters SELECT id, 0 FROM generate_series(1, $1::int) AS id', [counters]);
    const { rows } = await auditor.query<{ server_version: string }>('SHOW server_version');
    return await use({
      url,
      version: rows[0]?.server_version ?? 'unknown',
      async countOf(id) {
        const found = await auditor.query<{ count: number }>('SELECT count FROM counters WHERE id = $1', [id]);
        return found.rows[0]?.count ?? Number.NaN;
      },
    });
  } finally {
    await auditor.end();
  }
}

async function connect(url: string): Promise<Client> {
  // Its message may have the whole URL in it, with a password.
  if (!URL.canParse(url)) throw new UsageError('DATABASE_URL is not a URL.');
  const client = new Client({ connectionString: url });
  try {
    await client.connect();
    return client;
  } catch (error) {
    const { host, port } = client;
    throw new UsageError(
      `No connection to ${host}:${port}: ${error instanceof Error ? error.message || error.name : String(error)}`,
    );
  }
}
