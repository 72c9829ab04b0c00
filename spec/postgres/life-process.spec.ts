import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Client } from 'pg';
import { postgresUrl } from '../support/postgres.ts';
import { proxyTo } from '../support/postgres-proxy.ts';

const extension = extname(import.meta.url);
const library = (name: string) => JSON.stringify(new URL(`../../lib/${name}${extension}`, import.meta.url).href);

/** Runs a program that has a pool, and nothing that ends it. `hear` is called with all it has said so far. */
async function run(t: ExecutionContext, url: string, body: string, hear: (said: string) => void = () => {}) {
  const program = `
    import { createPool } from ${library('index')};
    import { postgres } from ${library('postgres')};
    const pool = createPool(postgres(process.env.URL), { name: 'app', cancelTimeout: 200 });
    ${body}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    env: { ...process.env, URL: url },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // One that does not end by itself fails its test.
  const patience = setTimeout(() => child.kill('SIGKILL'), 20_000);
  t.teardown(() => void child.kill('SIGKILL'));
  let [said, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    hear(said);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  clearTimeout(patience);
  t.is(errors, '');
  t.is(signal, null);
  t.is(code, 0);
  return said;
}

test('a program that has used a pool and does not close it ends by itself', async (t) => {
  const said = await run(
    t,
    await postgresUrl(t),
    `await pool.query('SELECT 1');
     await pool.transaction((tx) => tx.query('SELECT 1'));
     const kept = await pool.acquire();
     await kept.query("SET search_path = 'public'");
     console.log(pool.stats().size, pool.stats().leased);`,
  );
  t.is(said, '1 1\n');
});

test('a program that has only warmed its pool ends by itself', async (t) => {
  const said = await run(
    t,
    await postgresUrl(t),
    'pool.resize({ min: 2 }); await pool.ready(); console.log(pool.stats().idle);',
  );
  t.is(said, '2\n');
});

test('a program that awaits a query does not end before its answer', async (t) => {
  const said = await run(
    t,
    await postgresUrl(t),
    `await pool.withConnection(async (db) => {
       await db.query('SELECT pg_sleep(0.5)');
       for await (const { n } of db.iterate('SELECT n, pg_sleep(0.01) FROM generate_series(1, 20) n', [], { batch: 3 }));
     });
     console.log('answered');`,
  );
  t.is(said, 'answered\n');
});

test('a program that waits for a connection does not end before its deadline', async (t) => {
  const url = new URL(await postgresUrl(t));
  url.port = '1';
  const said = await run(
    t,
    url.href,
    `await pool.query('SELECT 1', [], { timeout: 300 }).catch(({ code }) => console.log(code));`,
  );
  t.is(said, 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT\n');
});

test('a program that reads an inbox lives for as long as it does', async (t) => {
  const url = await postgresUrl(t);
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    let notified = 0;
    const said = await run(
      t,
      url,
      `const db = await pool.acquire();
       const inbox = await db.listen('news');
       console.log('listening');
       for await (const { payload } of inbox) {
         console.log(payload);
         if (payload === 'last') break;
       }`,
      (sofar) => {
        const count = sofar.split('\n').length - 1;
        if (count !== notified + 1 || notified === 2) return;
        const payload = ['first', 'last'][notified++] ?? '';
        // Long after there is anything else to do.
        setTimeout(() => void client.query(`NOTIFY news, '${payload}'`), 300);
      },
    );
    t.is(said, 'listening\nfirst\nlast\n');
  } finally {
    await client.end();
  }
});

test('what was given up on a host that fell silent does not keep a program', async (t) => {
  const url = new URL(await postgresUrl(t));
  const proxy = await proxyTo(t, Number(url.port));
  url.port = String(proxy.port);
  const said = await run(
    t,
    url.href,
    `const db = await pool.acquire();
     const abort = new AbortController();
     const query = db.query({ text: 'SELECT pg_sleep(60)', signal: abort.signal });
     console.log('asked');
     setTimeout(() => abort.abort(), 500);
     await query.catch(({ code }) => console.log(code));
     db.release();`,
    (sofar) => {
      if (sofar === 'asked\n') proxy.freeze();
    },
  );
  t.is(said, 'asked\nABORT_ERR\n');
});

test('a connection that is being opened for nobody any more does not keep a program', async (t) => {
  const url = new URL(await postgresUrl(t));
  const proxy = await proxyTo(t, Number(url.port));
  url.port = String(proxy.port);
  proxy.freeze();
  const said = await run(
    t,
    url.href,
    `const patient = createPool(postgres(process.env.URL), { connectTimeout: 3_600_000, acquireTimeout: 200 });
     await patient.acquire().catch(({ code }) => console.log(code));`,
  );
  t.is(said, 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT\n');
});

test('closing a pool while its host is silent lets a program end', async (t) => {
  const url = new URL(await postgresUrl(t));
  const proxy = await proxyTo(t, Number(url.port));
  url.port = String(proxy.port);
  const said = await run(
    t,
    url.href,
    `const [db] = await Promise.all([pool.acquire(), pool.query('SELECT 1')]);
     const query = db.query('SELECT pg_sleep(60)').catch(({ code }) => console.log(code));
     console.log('asked');
     await new Promise((resolve) => setTimeout(resolve, 500));
     await pool.close({ timeout: 100 });
     await query;
     console.log('closed');`,
    (sofar) => {
      if (sofar === 'asked\n') proxy.freeze();
    },
  );
  t.is(said, 'asked\nERR_LEASEHOLD_RELEASED\nclosed\n');
});
