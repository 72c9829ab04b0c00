import { Client } from 'pg';
import { readHosts } from '../../lib/postgres/hosts.ts';
import { PostgresPool } from '../../lib/postgres/pool.ts';
import type { LeasedClient, TransactionOptions } from '../../lib/postgres.ts';
import { postgresUrl } from '../support/postgres.ts';
import { type ContractHandle, type ContractTransactionOptions, patient, type Subject } from './subject.ts';

type Db = Pick<LeasedClient, 'query' | 'release'> & ContractHandle;

let url: Promise<string> | undefined;
let known = '';
let places = 0;

/** One database for the whole file, and in it a schema for each place: that takes a tenth of the time. */
async function databaseUrl(): Promise<string> {
  url ??= postgresUrl();
  known = await url;
  return known;
}

async function once(sql: string): Promise<void> {
  const client = new Client(await databaseUrl());
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

export const postgres: Subject<Db> = {
  name: 'PostgreSQL',
  async place(t) {
    const schema = `place_${++places}`;
    await once(`
      CREATE SCHEMA ${schema};
      CREATE TABLE ${schema}.item (id serial PRIMARY KEY, name text);
      CREATE TABLE ${schema}.number AS SELECT 0 AS n;
      CREATE TABLE ${schema}.part (item int REFERENCES ${schema}.item DEFERRABLE INITIALLY DEFERRED)`);
    return {
      open(options, clock) {
        const settings = { search_path: schema };
        const pool = new PostgresPool(
          readHosts(known),
          { name: 'app', max: 8, settings, ...patient, ...options },
          clock,
        );
        t.teardown(() => pool.close({ timeout: 0 }));
        return pool;
      },
      add: () => once(`UPDATE ${schema}.number SET n = n + 1`),
    };
  },
  nowhere(t) {
    const missing = new URL(known);
    missing.pathname = '/missing';
    const pool = new PostgresPool(readHosts(missing.href), { name: 'app', ...patient, connectTimeout: 30_000 });
    t.teardown(() => pool.close({ timeout: 0 }));
    return pool;
  },

  async insert(db, name) {
    await db.query('INSERT INTO item (name) VALUES ($1)', [name]);
  },
  async names(db) {
    const { rows } = await db.query<{ name: string }>('SELECT name FROM item ORDER BY id');
    return rows.map(({ name }) => name);
  },
  async number(db) {
    const { rows } = await db.query<{ n: number }>('SELECT n FROM number');
    return rows[0]?.n ?? NaN;
  },
  async add(db) {
    await db.query('UPDATE number SET n = n + 1');
  },
  async fail(db) {
    await db.query('SELECT $1::json', ['no json']);
  },
  refusal: { code: '22P02' },
  async failAtCommit(db) {
    await db.query('INSERT INTO part VALUES (-1)');
  },
  commitRefusal: { code: '23503' },
  async begin(db) {
    await db.query('BEGIN');
  },
  async commit(db) {
    await db.query('COMMIT');
  },
  async releaseAgain(db) {
    db.release();
  },
  async change(db) {
    await db.query("SET work_mem = '123kB'");
  },
  async isChanged(db) {
    const { rows } = await db.query<{ work_mem: string }>('SHOW work_mem');
    return rows[0]?.work_mem === '123kB';
  },

  snapshot: { isolation: 'repeatable read' } satisfies TransactionOptions as ContractTransactionOptions,
  conflict: { code: '40001' },
  writersTakeTurns: false,
  failureEndsTransaction: true,
  resets: true,
  opensAtOnce: false,
};
