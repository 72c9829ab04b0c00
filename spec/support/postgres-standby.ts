import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import type { Binaries } from './postgres-binaries.ts';
import { copyTree, writeOwned } from './postgres-data.ts';
import { type Equipment, PostgresServer, type ServerOptions, type TestContext } from './postgres-server.ts';

/** What a standby gets from elsewhere, or makes itself. */
const transient = /^(?:postmaster\.(?:pid|opts)$|pg_(?:replslot|dynshmem|stat_tmp|notify)\/)/;
/** Directories that it does not make itself. */
const logDirectories = new Set(['pg_wal/archive_status', 'pg_wal/summaries']);

const isLeftOut = (name: string) => transient.test(name) || (name.startsWith('pg_wal/') && !logDirectories.has(name));

/**
 * A second server that follows the first by streaming replication, and takes connections that read. It has the password, the
 * certificate and the settings of the first, but for those that are given.
 */
export async function standbyOf(
  t: TestContext,
  primary: PostgresServer,
  settings: NonNullable<ServerOptions['settings']> = {},
): Promise<PostgresServer> {
  const options = { ...primary.options, settings: { ...primary.options.settings, ...settings } };
  const standby = await PostgresServer.launch(options, (binaries, directory) => backUp(primary, binaries, directory));
  t.teardown(() => standby.close());
  return standby;
}

/** Copies the data of a server that runs, as the chapter "Continuous Archiving" of its manual says. */
async function backUp(primary: PostgresServer, { user }: Binaries, directory: string): Promise<Equipment> {
  const data = join(directory, 'data');
  const label = await usingClient(primary, async (client) => {
    await client.query(`SELECT pg_backup_start('standby', fast => true)`);
    copyTree(primary.data, data, user, isLeftOut);
    const { rows } = await client.query<{ labelfile: string }>(
      'SELECT labelfile FROM pg_backup_stop(wait_for_archive => false)',
    );
    return rows[0]?.labelfile ?? '';
  });
  writeOwned(join(data, 'backup_label'), label, user);
  writeOwned(join(data, 'standby.signal'), '', user);
  const { password } = primary.equipment;
  const conninfo = `host=127.0.0.1 port=${primary.port} user=postgres password=${password}`;
  const configuration = join(data, 'postgresql.auto.conf');
  const lines = `${readFileSync(configuration, 'utf8')}\nprimary_conninfo = '${conninfo}'\n`;
  writeOwned(configuration, lines, user);
  return primary.equipment;
}

/** Waits until all that the primary has written can be read from the standby. */
export async function caughtUp(primary: PostgresServer, standby: PostgresServer): Promise<void> {
  const position = await usingClient(primary, async (client) => {
    const { rows } = await client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
    return rows[0]?.lsn;
  });
  await usingClient(standby, async (client) => {
    for (;;) {
      const { rows } = await client.query<{ isThere: boolean }>(
        'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS "isThere"',
        [position],
      );
      if (rows[0]?.isThere === true) return;
      await delay(10);
    }
  });
}

async function usingClient<Result>(server: PostgresServer, use: (client: Client) => Promise<Result>): Promise<Result> {
  const client = new Client({ connectionString: server.url() });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
