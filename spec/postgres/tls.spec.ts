import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { createPool } from '../../lib/index.ts';
import { type PostgresConfig, type PostgresPool, postgres } from '../../lib/postgres.ts';
import { temporaryDirectory } from '../support/files.ts';
import { gate } from '../support/gate.ts';
import { listenOnLoopback } from '../support/loopback.ts';
import { makeCertificates } from '../support/postgres-certificates.ts';
import { launchServer } from '../support/postgres-server.ts';

const server = await launchServer({ ssl: true });
test.after.always(() => server.close());

const { ca } = server;

function openPool(t: ExecutionContext, config: string | PostgresConfig): PostgresPool {
  const pool = createPool(postgres(config), { name: 'app', acquireTimeout: 20_000 });
  t.teardown(() => pool.close({ timeout: 0 }));
  return pool;
}

async function isEncrypted(pool: PostgresPool): Promise<unknown> {
  const { rows } = await pool.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
  return rows[0]?.['ssl'];
}

/** A port that leads to the server, and the request with which each connection there begins. */
async function listenIn(t: ExecutionContext): Promise<{ port: number; requests: number[] }> {
  const requests: number[] = [];
  const port = await listenOnLoopback(t, (client) => {
    const target = connect(server.port, '127.0.0.1').on('error', () => {});
    client.once('data', (chunk) => requests.push(chunk.readUInt32BE(4)));
    client.once('close', () => target.destroy());
    client.pipe(target).pipe(client);
  });
  return { port, requests };
}

// The numbers of the protocol, chapter "Message Formats" of the manual.
const sslRequest = 80_877_103;
const cancelRequest = 80_877_102;

/** Aborts a query once the server runs it, and looks whether the connection can still be used. */
async function abortOne(t: ExecutionContext, pool: PostgresPool): Promise<void> {
  const abort = new AbortController();
  const begun = gate();
  await pool.withConnection(async (db) => {
    db.on('notice', () => begun.open());
    const text = "DO $$ BEGIN RAISE NOTICE 'begun'; PERFORM pg_sleep(60); END $$";
    const sleeping = db.query({ text, signal: abort.signal });
    void begun.passed.then(() => abort.abort());
    await t.throwsAsync(sleeping, { code: 'ABORT_ERR' });
    // Had nobody heard of it, the connection would have been given up.
    t.deepEqual((await db.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  });
}

test('`ssl: { ca }` encrypts, and accepts who has a certificate by it', async (t) => {
  const pool = openPool(t, { connectionString: server.url(), ssl: { ca } });
  t.true(await isEncrypted(pool));
  const byName = openPool(t, { connectionString: server.url().replace('127.0.0.1', 'localhost'), ssl: { ca } });
  t.true(await isEncrypted(byName));
});

test('without `ssl` nothing is encrypted', async (t) => {
  t.false(await isEncrypted(openPool(t, server.url())));
});

test('a server with a certificate by somebody else is refused at once', async (t) => {
  for (const ssl of [{ ca: makeCertificates().ca }, {}, true]) {
    const pool = openPool(t, { connectionString: server.url(), ssl });
    const error = await t.throwsAsync(pool.query('SELECT 1', [], { timeout: Infinity }), {
      code: 'ERR_LEASEHOLD_OPEN',
    });
    t.regex(Reflect.get(error.cause as Error, 'code') as string, /CERT|SIGNATURE/);
    t.is(pool.stats().size, 0);
  }
});

test('a certificate for another name is refused at once', async (t) => {
  const ssl = {
    ca,
    checkServerIdentity: () => Object.assign(new Error('Not this one'), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' }),
  };
  const pool = openPool(t, { connectionString: server.url(), ssl });
  await t.throwsAsync(pool.query('SELECT 1', [], { timeout: Infinity }), {
    code: 'ERR_LEASEHOLD_OPEN',
    message: /Not this one/,
  });
});

test('`sslmode` and `sslrootcert` of the URL are heeded, also where it has several hosts', async (t) => {
  const file = join(temporaryDirectory(t), 'ca.pem');
  writeFileSync(file, ca);
  t.true(await isEncrypted(openPool(t, `${server.url()}?sslmode=no-verify`)));
  t.true(await isEncrypted(openPool(t, `${server.url()}?sslmode=verify-full&sslrootcert=${encodeURIComponent(file)}`)));
  const several = server.url().replace('@', '@127.0.0.1:1,');
  t.true(await isEncrypted(openPool(t, `${several}?sslmode=verify-full&sslrootcert=${encodeURIComponent(file)}`)));
  t.false(await isEncrypted(openPool(t, `${several}?sslmode=disable`)));
  const unknown = openPool(t, `${server.url()}?sslmode=verify-full`);
  await t.throwsAsync(unknown.query('SELECT 1'), { code: 'ERR_LEASEHOLD_OPEN' });
});

test('a query is cancelled over TLS where its connection is: the key of that is not sent in the clear', async (t) => {
  const { port, requests } = await listenIn(t);
  const pool = openPool(t, { ...account(port), ssl: { ca } });
  await abortOne(t, pool);
  t.true(requests.length >= 2);
  t.deepEqual(new Set(requests), new Set([sslRequest]));
});

test('a query is cancelled in the clear where its connection is', async (t) => {
  const { port, requests } = await listenIn(t);
  await abortOne(t, openPool(t, account(port)));
  t.is(requests[1], cancelRequest);
});

test('TLS without asking for it first carries queries and their cancellation', async (t) => {
  await abortOne(t, openPool(t, { ...account(server.port), ssl: { ca }, sslnegotiation: 'direct' }));
});

function account(port: number): PostgresConfig {
  return { host: '127.0.0.1', port, user: 'postgres', password: server.equipment.password, database: 'postgres' };
}
