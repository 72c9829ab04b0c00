import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import { Registry } from 'prom-client';
import { node } from '../../lib/http/node.ts';
import { createPool } from '../../lib/index.ts';
import { instrument } from '../../lib/telemetry/opentelemetry.ts';
import { collect } from '../../lib/telemetry/prometheus.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { metricsSdk, tracingSdk } from '../support/opentelemetry.ts';
import { libraryUrl, temporaryPool } from '../support/sqlite.ts';
import { parseExposition } from './exposition.ts';
import { anyText, hostileTexts, isReadable } from './values.ts';

const nameLabel = 'db_client_connection_pool_name';

test('whatever pools are called, what Prometheus scrapes can be read, and tells them apart', async (t) => {
  const directory = temporaryDirectory(t);
  const registry = new Registry();
  // As UTF-8 has it: there a lone surrogate is nothing.
  const name = anyText.map((each) => each.toWellFormed().slice(0, 5000)).filter((each) => each !== '');
  const isReadBack = fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 3 }), async (names) => {
    const pools = names.map((each) => createPool(`${directory}/app.db`, { name: each }));
    for (const pool of pools) {
      collect(pool, { registry });
      await pool.get('SELECT 1', [], { label: `${pool.name}"}\n` });
    }
    const samples = parseExposition(Buffer.from(await registry.metrics()).toString());
    t.deepEqual(new Set(samples.map(({ labels }) => labels[nameLabel])), new Set(names));
    for (const each of names) {
      const max = samples.filter(
        (sample) => sample.name === 'db_client_connection_max' && sample.labels[nameLabel] === each,
      );
      t.deepEqual(
        max.map(({ value }) => value),
        [8],
      );
    }
    await Promise.all(pools.map((pool) => pool.close()));
    t.deepEqual(parseExposition(await registry.metrics()), [], 'and a pool that is closed is gone');
  });
  await fc.assert(isReadBack, { numRuns: 30 });
});

test('OpenTelemetry is told labels and names as they are, and nothing is named after them', async (t) => {
  const { meterProvider, collect: collected } = metricsSdk(t);
  const { tracerProvider, spans } = tracingSdk(t);
  for (const each of hostileTexts) {
    const pool = temporaryPool(t, { name: each });
    instrument(pool, { meterProvider, tracerProvider });
    await pool.transaction(() => {}, { label: each });
    const span = spans().at(-1);
    t.is(span?.name, 'leasehold.transaction');
    t.is(span?.attributes['leasehold.label'], each);
    t.is(span?.attributes['db.client.connection.pool.name'], each);
  }
  const names = [...(await collected()).values()].flatMap(({ points }) =>
    points.flatMap(({ attributes }) => Object.keys(attributes)),
  );
  t.deepEqual(new Set(names), new Set(['db.client.connection.pool.name', 'db.client.connection.state']));
});

// What is written there is all that is written of some events.
const program = `
  import { createPool } from ${JSON.stringify(libraryUrl)};
  const [file, texts] = process.argv.slice(1);
  for (const label of JSON.parse(texts)) {
    const pool = createPool(file, { max: 1, name: label || 'app', leakThreshold: 1 });
    await pool.withConnection((db) => {
      db.exec('BEGIN');
      if (label.length < 1000) db.discard(label);
      return Promise.all([0, 1].map(() => pool.acquire({ label, timeout: 20 }).catch(() => {})));
    }, { label });
    await pool.close();
  }`;

test('no label or name adds a line to the log, or anything that a terminal would obey', async (t) => {
  const forged = 'x\nLEASEHOLD 1: app/1: connection 9 closed: forged';
  const texts = [...hostileTexts.filter((each) => each.length < 100_000), forged];
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', program, temporaryFile(t), JSON.stringify(texts)],
    {
      env: { ...process.env, NODE_DEBUG: 'leasehold' },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  t.teardown(() => void child.kill());
  const log = await text(child.stderr);
  t.is(child.exitCode ?? (await once(child, 'close'))[0], 0, log.slice(-2000));
  const lines = log.split('\n').slice(0, -1);
  const begun = lines.filter((line) => line.startsWith(`LEASEHOLD ${child.pid}: `));
  t.true(begun.length >= texts.length * 8, `${begun.length} lines`);
  for (const line of lines) isReadable(t, line);
  // The rest are those of messages of several lines, which are indented.
  t.deepEqual(
    lines.filter((line) => !line.startsWith(`LEASEHOLD ${child.pid}: `) && !line.startsWith('  ')),
    [],
  );
  t.is(lines.filter((line) => line.startsWith('LEASEHOLD 1:')).length, 0);
});

async function pathsServer(t: ExecutionContext, registry: Registry) {
  const pool = temporaryPool(t);
  collect(pool, { registry });
  const answer = node(pool, (_request, response) =>
    pool.get('SELECT 1').then(
      () => response.end(),
      () => response.destroy(),
    ),
  );
  const server = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => {
    agent.destroy();
    server.close();
  });
  const ask = async (path: string): Promise<void> => {
    const request = get({ agent, host: '127.0.0.1', port: (server.address() as AddressInfo).port, path });
    const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
    await once(response.resume(), 'end');
  };
  return { pool, ask };
}

test('a client that makes up paths adds to no metric, and to no more than a thousand labels', async (t) => {
  const registry = new Registry();
  const { pool, ask } = await pathsServer(t, registry);
  await ask('/first');
  const before = parseExposition(await registry.metrics()).length;
  for (let number = 0; number < 1100; number++) await ask(`/%0a%1b[2J${number}?a=${number}`);
  const samples = parseExposition(await registry.metrics());
  t.is(samples.length, before);
  t.false(JSON.stringify(samples).includes('2J'));
  const stats = pool.stats({ by: 'label' });
  t.is(stats.length, 1001);
  t.is(
    stats.reduce((sum, { acquired }) => sum + acquired, 0),
    1101,
  );
  // What is asked of a path is no part of it.
  t.true(stats.every(({ label }) => label === undefined || !label.includes('?')));
});
