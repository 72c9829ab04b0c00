import { chmodSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { createPool } from '../lib/index.ts';
import { parseOptions } from './examples/server/options.ts';
import { fill } from './examples/server/seed.ts';
import { stopSignal } from './examples/server/stop.ts';
import { openExport, placeOrder, startDemo } from './examples/support/demo.ts';
import { temporaryDirectory, temporaryFile } from './support/files.ts';

const size = { customers: 50, orders: 400 };
const small = ['--port', '0', '--customers', '50', '--orders', '400'];

function read(t: ExecutionContext, file: string): Database.Database {
  const db = new Database(file, { readonly: true });
  t.teardown(() => void db.close());
  return db;
}

/** Number of orders, after a look at whether all is in that should be. */
function countOrders(t: ExecutionContext, file: string): unknown {
  const db = read(t, file);
  t.is(db.pragma('integrity_check', { simple: true }), 'ok');
  t.is(db.prepare('SELECT filled FROM demo').pluck().get(), 1);
  t.is(db.prepare('SELECT count(*) FROM customers').pluck().get(), size.customers);
  const row = (what: string) => db.prepare(`SELECT ${what}`).raw().get();
  t.deepEqual(row('count(*), sum(total_cents) FROM orders'), row('sum(order_count), sum(spent_cents) FROM customers'));
  t.deepEqual(row('sum(quantity) FROM orders'), row('sum(delivered) - sum(stock) FROM products'));
  return db.prepare('SELECT count(*) FROM orders').pluck().get();
}

// ---- Start and end. ----

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} ends an idle server with 0, and leaves one file behind`, async (t) => {
    const file = temporaryFile(t);
    const demo = startDemo(t, '--file', file, ...small);
    t.is((await placeOrder(await demo.url())).status, 201);
    t.true(existsSync(`${file}-wal`));
    demo.kill(signal);
    t.deepEqual(await demo.ended, { code: 0, signal: null });
    t.deepEqual(readdirSync(join(file, '..')), ['app.db']);
    t.is(demo.complaints, '');
    t.is(countOrders(t, file), 401);
  });
}

test('the first start fills the file, and later ones leave it as it is', async (t) => {
  const file = temporaryFile(t);
  const first = startDemo(t, '--file', file, ...small);
  await placeOrder(await first.url());
  t.regex(first.output, /^Filling: 100 %$/m);
  first.kill('SIGINT');
  await first.ended;

  const second = startDemo(t, '--file', file, '--port', '0', '--orders', '9999');
  await second.printed(/: 50 customers, 400 orders, 100 products\./);
  t.is((await (await openExport(await second.url())).rest()).length, 401);
  t.false(second.output.includes('Filling'));
});

test('an interrupted first fill is completed at the next start', async (t) => {
  const file = temporaryFile(t);
  const interruption = new AbortController();
  const interrupted = { customers: 50, orders: 3000 };
  {
    await using pool = createPool(file);
    const filling = fill(pool, interrupted, { signal: interruption.signal, onProgress: () => interruption.abort() });
    await t.throwsAsync(filling, { name: 'AbortError' });
  }
  const half = read(t, file);
  const left = half.prepare<[], number>('SELECT count(*) FROM orders').pluck().get() as number;
  t.true(left > 0 && left < interrupted.orders, `${left}`);
  half.close();

  const demo = startDemo(t, '--file', file, ...small);
  await demo.printed(/: 50 customers, 3,000 orders, 100 products\./);
  // It goes on from where it was.
  t.notRegex(demo.output, /^Filling: [0-3]0? %$/m);
  demo.kill('SIGINT');
  await demo.ended;
  t.is(countOrders(t, file), 3000);
});

test('Ctrl-C during the first fill ends with 0 between two chunks', async (t) => {
  const file = temporaryFile(t);
  const demo = startDemo(t, '--file', file, '--port', '0', '--orders', '5000000');
  await demo.printed(/^Filling: 0 %/m);
  demo.kill('SIGINT');
  t.deepEqual(await demo.ended, { code: 0, signal: null });
  t.is(demo.complaints, '');
  t.deepEqual(readdirSync(join(file, '..')), ['app.db']);
  const db = read(t, file);
  t.is(db.prepare('SELECT filled FROM demo').pluck().get(), 0);
  const rows = ['products', 'customers', 'orders'].map(
    (table) => db.prepare(`SELECT count(*) FROM ${table}`).pluck().get() as number,
  );
  t.is(rows.reduce((sum, count) => sum + count) % 1000, 0);
});

test('a Ctrl-C that arrives twice is one', (t) => {
  // npm passes on to its child what the terminal has sent to both. A process.exit() would fail this test.
  const listeners = (['SIGINT', 'SIGTERM'] as const).map((name) => [name, process.listeners(name)] as const);
  t.teardown(() => {
    for (const [name, before] of listeners) {
      for (const listener of process.listeners(name)) if (!before.includes(listener)) process.off(name, listener);
    }
  });
  const signal = stopSignal();
  t.false(signal.aborted);
  process.emit('SIGINT', 'SIGINT');
  t.true(signal.aborted);
  process.emit('SIGINT', 'SIGINT');
});

// ---- What a person sees who asks for something that cannot be. ----

test('an unknown option or a bad value is told in one line, with exit code 2', async (t) => {
  const wrong: [args: string[], line: RegExp][] = [
    [['--prot', '1'], /^leasehold-demo: Unknown option '--prot'\. See --help\.\n$/],
    [['--file', 'file:x'], /^leasehold-demo: Option "file" .*\n$/],
  ];
  for (const [args, line] of wrong) {
    const demo = startDemo(t, ...args);
    t.deepEqual(await demo.ended, { code: 2, signal: null });
    t.regex(demo.complaints, line);
    t.is(demo.output, '');
  }
  const refused = [
    ['extra'],
    ['--port'],
    ['--port', '65536'],
    ['--port', '-1'],
    ['--port', '0x10'],
    ['--host', ' '],
    ['--file', ''],
    ['--file', ':memory:'],
    ['--load', '0'],
    ['--load', '1.5'],
    ['--clients', '0'],
    ['--orders', 'many'],
  ];
  for (const args of refused) t.throws(() => parseOptions(args), { message: /^[^\n]+\.$/ }, args.join(' '));
});

test('without options the port is 3000, and under load whichever is free', (t) => {
  t.like(parseOptions([]), {
    file: 'leasehold-demo.db',
    host: '127.0.0.1',
    port: 3000,
    customers: 10_000,
    orders: 100_000,
  });
  t.like(parseOptions(['--load', '10']), { port: 0, load: 10, clients: 64 });
  t.like(parseOptions(['--load', '10', '--port', '8080']), { port: 8080 });
});

test('--help names every option, and ends with 0', async (t) => {
  const demo = startDemo(t, '--help');
  t.deepEqual(await demo.ended, { code: 0, signal: null });
  for (const option of Object.keys(parseOptions([]))) t.regex(demo.output, new RegExp(`^ {2}--${option} `, 'm'));
});

async function fails(t: ExecutionContext, line: RegExp, ...args: string[]): Promise<void> {
  const demo = startDemo(t, ...small, ...args);
  t.deepEqual(await demo.ended, { code: 1, signal: null });
  t.regex(demo.complaints, line);
  t.is(demo.complaints.trimEnd().split('\n').length, 1);
}

test('a port in use is told in one line, with exit code 1', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  t.teardown(() => void other.close());
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as { port: number };
  const file = temporaryFile(t);
  await fails(
    t,
    new RegExp(`^leasehold-demo: Port ${port} of 127.0.0.1 is in use\\.`),
    '--file',
    file,
    '--port',
    `${port}`,
  );
  t.deepEqual(readdirSync(join(file, '..')), ['app.db']);
});

test('a folder that is missing or may not be written is told in one line, with exit code 1', async (t) => {
  const directory = temporaryDirectory(t);
  await fails(
    t,
    /^leasehold-demo: Pool "demo" cannot open ".*missing.app\.db": .*ENOENT/,
    '--file',
    join(directory, 'missing', 'app.db'),
  );
  // Permissions do not hold back root, but nobody makes files in /proc.
  const unwritable = process.getuid?.() === 0 ? '/proc' : directory;
  if (unwritable === directory) chmodSync(directory, 0o555);
  await fails(
    t,
    /^leasehold-demo: Pool "demo" cannot open ".*app\.db": .*\((?:EACCES|SQLITE_CANTOPEN)\)/,
    '--file',
    join(unwritable, 'app.db'),
  );
});

test('a file that is no database, or that of something else or older, is told in one line and left alone', async (t) => {
  const directory = temporaryDirectory(t);
  const letter = join(directory, 'letter.txt');
  writeFileSync(letter, 'Dear SQLite, this is not for you. '.repeat(100));
  await fails(t, /^leasehold-demo: Pool "demo" cannot open ".*letter\.txt": file is not a database/, '--file', letter);

  const other = join(directory, 'other.db');
  new Database(other).exec('CREATE TABLE letters (id INTEGER PRIMARY KEY)').close();
  await fails(t, /^leasehold-demo: .*other\.db is a database of something else\./, '--file', other);
  t.deepEqual(read(t, other).prepare('SELECT name FROM sqlite_schema').pluck().all(), ['letters']);

  const older = join(directory, 'older.db');
  new Database(older).exec('CREATE TABLE demo (customers INTEGER, orders INTEGER, filled INTEGER)').close();
  await fails(t, /^leasehold-demo: .*older\.db was made by an older demo\./, '--file', older);
});
