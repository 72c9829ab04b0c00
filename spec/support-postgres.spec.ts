import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname, extname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { Client, type ClientConfig } from 'pg';
import { postgresUrl } from './support/postgres.ts';
import { proxyTo } from './support/postgres-proxy.ts';
import { startServer } from './support/postgres-server.ts';
import { caughtUp, standbyOf } from './support/postgres-standby.ts';

/** The first value of what a query answers, on a connection of its own. */
async function query(connectionString: string, text: string, config: ClientConfig = {}): Promise<unknown> {
  const client = new Client({ connectionString, ...config });
  // Of a connection that is lost, the query says it as well.
  client.on('error', () => {});
  await client.connect();
  try {
    const { rows } = await client.query<unknown[]>({ text, rowMode: 'array' });
    return rows[0]?.[0];
  } finally {
    await client.end();
  }
}

/** The same URL, with another port. */
function through(url: string, port: number): string {
  return Object.assign(new URL(url), { port: String(port) }).href;
}

/** Waits for what the operating system does in its own time. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) {
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const shared = await postgresUrl();

test('the database of a file and those of its tests know nothing of each other', async (t) => {
  const own = await postgresUrl(t);
  await query(own, 'CREATE TABLE item ()');
  t.is(await query(own, `SELECT to_regclass('item')::text`), 'item');
  t.is(await query(shared, `SELECT to_regclass('item')::text`), null);
});

let over = '';
test.serial('a database of a test is there for as long as the test is', async (t) => {
  over = await postgresUrl(t);
  t.is(await query(over, 'SELECT 1'), 1);
});
test.serial('a database of a test that is over is gone', async (t) => {
  await t.throwsAsync(query(over, 'SELECT 1'), { code: '3D000' });
});

test('a server of a test is stopped and started on the same port, with its settings and its data', async (t) => {
  const server = await startServer(t, { settings: { max_connections: 17 } });
  const { pid } = server;
  await query(server.url(), 'CREATE TABLE item ()');
  await server.stop();
  t.false(isRunning(pid));
  await t.throwsAsync(query(server.url(), 'SELECT 1'), { code: 'ECONNREFUSED' });
  await server.start();
  t.true(isRunning(server.pid));
  t.is(await query(server.url(), `SELECT to_regclass('item')::text`), 'item');
  t.is(await query(server.url(), 'SHOW max_connections'), '17');
});

test('a server that was killed recovers, though a session of it has not noticed yet', async (t) => {
  const server = await startServer(t);
  await query(server.url(), 'CREATE TABLE item ()');
  const name = 'busy';
  // Each works without a pause, in which it would see that the server is gone.
  const back = new AbortController();
  const work = async () => {
    while (!back.signal.aborted)
      await query(server.url(), 'SELECT count(*) FROM generate_series(1, 5e6)', { application_name: name });
  };
  const ended = work().catch((error: unknown) => error);
  const isAtWork = `SELECT count(*)::int FROM pg_stat_activity WHERE application_name = '${name}' AND state = 'active'`;
  while ((await query(server.url(), isAtWork)) === 0);
  await server.kill();
  await server.start();
  back.abort();
  await ended;
  t.is(await query(server.url(), `SELECT to_regclass('item')::text`), 'item');
  t.regex(server.log(), /was not properly shut down/);
});

test('a server asks for its password, and says why it does not start', async (t) => {
  const server = await startServer(t);
  const wrong = Object.assign(new URL(server.url()), { password: 'wrong' }).href;
  await t.throwsAsync(query(wrong, 'SELECT 1'), { code: '28P01' });
  await t.throwsAsync(startServer(t, { settings: { max_connections: 0 } }), {
    message: /0 is outside the valid range/,
  });
  t.throws(() => server.ca, { message: /ssl: true/ });
});

test('a server with TLS has a certificate that its authority has signed, for localhost and 127.0.0.1', async (t) => {
  const server = await startServer(t, { ssl: true });
  const text = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
  for (const hostname of ['localhost', '127.0.0.1']) {
    const url = Object.assign(new URL(server.url()), { hostname }).href;
    t.true(await query(url, text, { ssl: { ca: server.ca } }), hostname);
    await t.throwsAsync(query(url, text, { ssl: true }), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }, hostname);
  }
  t.false(await query(server.url(), text));
});

test('a standby follows, reads, and writes once it is promoted', async (t) => {
  const primary = await startServer(t);
  await query(primary.url(), 'CREATE TABLE item ()');
  const standby = await standbyOf(t, primary);
  await query(primary.url(), 'INSERT INTO item DEFAULT VALUES');
  await caughtUp(primary, standby);
  t.is(await query(standby.url(), 'SELECT count(*)::int FROM item'), 1);
  await t.throwsAsync(query(standby.url(), 'INSERT INTO item DEFAULT VALUES'), { code: '25006' });
  await primary.stop('immediate');
  await standby.promote();
  await query(standby.url(), 'INSERT INTO item DEFAULT VALUES');
  t.is(await query(standby.url(), 'SELECT count(*)::int FROM item'), 2);
});

test('a proxy that is frozen accepts and is silent, and passes what it held when it is thawed', async (t) => {
  const proxy = await proxyTo(t, Number(new URL(shared).port));
  const url = through(shared, proxy.port);
  t.is(await query(url, 'SELECT 1'), 1);
  proxy.freeze();
  const answers = query(url, 'SELECT 2');
  await until(() => proxy.accepted === 2);
  await t.throwsAsync(query(url, 'SELECT 3', { connectionTimeoutMillis: 1000 }), { message: /timeout/ });
  proxy.thaw();
  t.is(await answers, 2);
});

test('a proxy that freezes answers lets statements pass, and resets both ends when it is cut', async (t) => {
  const url = await postgresUrl(t);
  const proxy = await proxyTo(t, Number(new URL(url).port));
  const client = new Client({ connectionString: through(url, proxy.port) });
  const errors: NodeJS.ErrnoException[] = [];
  client.on('error', (error) => errors.push(error));
  await client.connect();
  proxy.freeze('answers');
  const answer = client.query('CREATE TABLE item ()');
  const refused = t.throwsAsync(answer);
  while ((await query(url, `SELECT to_regclass('item')::text`)) === null);
  t.is(proxy.open, 1);
  proxy.cut();
  await refused;
  t.is(errors[0]?.code, 'ECONNRESET');
  t.is(proxy.open, 0);
  proxy.thaw();
  t.is(await query(through(url, proxy.port), `SELECT to_regclass('item')::text`), 'item');
});

test('no server and no file outlives the process that has started it, not even when that is killed', async (t) => {
  const { href } = new URL(`support/postgres-server${extname(import.meta.url)}`, import.meta.url);
  const program = `
    const { launchServer } = await import(${JSON.stringify(href)});
    const { pid, data } = await launchServer();
    console.log(JSON.stringify({ pid, data }));
    process.stdin.resume().once('end', () => process.exit());`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: dirname(fileURLToPath(import.meta.url)),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { pid, data } = JSON.parse(line) as { readonly pid: number; readonly data: string };
  t.true(isRunning(pid));
  child.kill('SIGKILL');
  await until(() => !isRunning(pid) && !existsSync(dirname(data)));
  t.pass();
});
