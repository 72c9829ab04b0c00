import { cpSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import test from 'ava';
import type { HolderInfo, WriteHolder } from '../lib/holder.ts';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatHolders,
  formatSite,
  formatState,
  formatWriteHolder,
  nameOf,
  printable,
} from '../lib/wording.ts';
import { temporaryDirectory } from './support/files.ts';

function holder(change: Partial<HolderInfo> = {}): HolderInfo {
  return {
    id: 1,
    connection: 1,
    label: 'GET /report',
    age: 4200,
    idleFor: 4100,
    inTransaction: true,
    mode: 'connection',
    scope: undefined,
    ...change,
  };
}

test('printable escapes whatever could break out of a line or reorder it, and nothing else', (t) => {
  t.is(printable('a\nb\r\tc'), 'a\\u000ab\\u000d\\u0009c');
  t.is(printable('\u0000\u001b[31m\u007f\u009b'), '\\u0000\\u001b[31m\\u007f\\u009b');
  t.is(printable('\u2028\u2029'), '\\u2028\\u2029');
  t.is(
    printable('\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069'),
    '\\u202a\\u202b\\u202c\\u202d\\u202e\\u2066\\u2067\\u2068\\u2069',
  );
  t.is(printable('Größe "x" \\ 日本 🎉 \u2027\u202f'), 'Größe "x" \\ 日本 🎉 \u2027\u202f');
});

test('a duration is shown in the unit a person would use', (t) => {
  t.is(formatDuration(0), '0 ms');
  t.is(formatDuration(0.04), '0 ms');
  t.is(formatDuration(0.44), '0.4 ms');
  t.is(formatDuration(9.94), '9.9 ms');
  t.is(formatDuration(10.4), '10 ms');
  t.is(formatDuration(839.6), '840 ms');
  t.is(formatDuration(1000), '1.0 s');
  t.is(formatDuration(4230), '4.2 s');
  t.is(formatDuration(119_900), '119.9 s');
  t.is(formatDuration(120_000), '2.0 min');
  t.is(formatDuration(210_000), '3.5 min');
});

test('a holder is one line: who, how long, in what state, from where', (t) => {
  t.is(formatHolders([holder()]), '\n  #1  GET /report       4.2 s   transaction open, last used 4.1 s ago');
  t.is(
    formatHolders([holder({ id: 12, label: undefined, inTransaction: false, age: 3, idleFor: 0 })]),
    '\n  #12  no label          3 ms   last used 0 ms ago',
  );
  const stack = 'Error\n    at report (server.ts:41:9)\n    at main (server.ts:50:1)';
  t.is(
    formatHolders([holder({ stack })]),
    '\n  #1  GET /report       4.2 s   transaction open, last used 4.1 s ago   at report (server.ts:41:9) from main (server.ts:50:1)',
  );
  t.is(formatHolders([holder({ stack: 'Error' })]), formatHolders([holder()]), 'a stack without a frame adds nothing');
});

test('a label can not forge lines', (t) => {
  const text = formatHolders([holder({ label: 'x\n  #2  admin' })]);
  t.is(text.split('\n').length, 2);
  t.true(text.includes('x\\u000a  #2  admin'));
});

test('a long list of holders is cut and counted', (t) => {
  const many = Array.from({ length: 25 }, (_, index) => holder({ id: index + 1 }));
  const lines = formatHolders(many).split('\n').slice(1);
  t.is(lines.length, 21);
  t.is(lines.at(-1), '  … and 5 more');
  t.is(formatHolders(many.slice(0, 20)).split('\n').length, 21, 'and not where it just fits');
  t.is(formatHolders(many, 24).split('\n').at(-1), '  … and 1 more');
  t.is(formatHolders([]), '');
});

test('a size is shown in the unit a person would use', (t) => {
  t.is(formatBytes(0), '0 bytes');
  t.is(formatBytes(999), '999 bytes');
  t.is(formatBytes(1000), '1.0 kB');
  t.is(formatBytes(32_768), '32.8 kB');
  t.is(formatBytes(1_000_000), '1.0 MB');
  t.is(formatBytes(42_300_000), '42.3 MB');
});

test('a count agrees with its noun', (t) => {
  t.deepEqual(
    [0, 1, 2].map((count) => formatCount(count, 'lease')),
    ['0 leases', '1 lease', '2 leases'],
  );
});

test('what is named is named with its label, if it has one, and its pool, neither of which can break the line', (t) => {
  t.is(nameOf('Lease #3', 'GET /a', 'app'), 'Lease #3 "GET /a" of "app"');
  t.is(nameOf('Lease #3', undefined, 'app'), 'Lease #3 of "app"');
  t.is(nameOf('Lease #3', '', 'app'), 'Lease #3 "" of "app"');
  t.is(nameOf('Scope #1', 'a\nb', 'x\u2028y'), 'Scope #1 "a\\u000ab" of "x\\u2028y"');
});

for (const [change, state] of [
  [{ inTransaction: false }, ''],
  [{ inTransaction: true }, 'transaction open, '],
  [{ mode: 'read', inTransaction: true }, 'snapshot open, '],
  [{ mode: 'read', inTransaction: false }, ''],
  [{ mode: 'write', inTransaction: true }, 'write transaction open, '],
  [{ mode: 'write', inTransaction: false }, 'may write, '],
] as const) {
  test(`of a holder with ${JSON.stringify(change)} it is said: ${state}last used …`, (t) => {
    t.is(formatState(holder(change)), `${state}last used 4.1 s ago`);
    t.is(
      formatState(holder({ ...change, pinnedBytes: 4_200_000 })),
      `${state}last used 4.1 s ago, keeps 4.2 MB of log from being reclaimed`,
    );
  });
}

/** A stack as V8 writes it. */
function stackOf(...frames: readonly string[]): string {
  return ['Error', ...frames.map((frame) => `    at ${frame}`)].join('\n');
}

const inside = (path: string) => join(process.cwd(), path);
const urlOf = (path: string) => pathToFileURL(inside(path)).href;

for (const [what, frames, site] of [
  ['of an ES module', [`report (${urlOf('src/a.ts')}:4:1)`], 'at report (src/a.ts:4:1)'],
  ['of a CommonJS module', [`report (${inside('src/a.js')}:4:1)`], 'at report (src/a.js:4:1)'],
  ['without a function', [`${urlOf('src/a.ts')}:4:1`], 'at src/a.ts:4:1'],
  ['of a CommonJS module without a function', [`${inside('src/a.js')}:4:1`], 'at src/a.js:4:1'],
  ['of a CommonJS main module', [`Object.<anonymous> (${inside('a.js')}:4:1)`], 'at Object.<anonymous> (a.js:4:1)'],
  ['after an await', [`async report (${urlOf('a.ts')}:4:1)`], 'at report (a.ts:4:1)'],
  ['after an await, without a function', [`async ${urlOf('a.ts')}:4:1`], 'at a.ts:4:1'],
  ['of a constructor', [`new Report (${urlOf('a.ts')}:4:1)`], 'at new Report (a.ts:4:1)'],
  ['of a renamed method', [`Report.run [as go] (${urlOf('a.ts')}:4:1)`], 'at Report.run [as go] (a.ts:4:1)'],
  ['of a private method', [`#go (${urlOf('a.ts')}:4:1)`], 'at #go (a.ts:4:1)'],
  ['outside of the working directory', ['report (file:///elsewhere/a.ts:4:1)'], 'at report (/elsewhere/a.ts:4:1)'],
  [
    'in a directory whose name begins with that of the working directory',
    [`report (${process.cwd()}2/a.ts:4:1)`],
    `at report (${process.cwd()}2/a.ts:4:1)`,
  ],
  ['in a directory whose name begins with dots', [`report (${inside('..a/b.ts')}:4:1)`], 'at report (..a/b.ts:4:1)'],
  [
    'in a path with a space, a bracket and a percent sign',
    [`report (${urlOf('my (dir)/100%.ts')}:4:1)`],
    'at report (my (dir)/100%.ts:4:1)',
  ],
  ['of a query', [`report (${urlOf('a.ts')}?v=2:4:1)`], 'at report (a.ts:4:1)'],
  ['on Windows', ['report (C:\\app\\a.js:4:1)'], 'at report (C:\\app\\a.js:4:1)'],
  ['on Windows, without a function', ['C:\\app\\a.js:4:1'], 'at C:\\app\\a.js:4:1'],
  ['of a bundler', ['report (webpack-internal:///./src/a.ts:4:1)'], 'at report (webpack-internal:///./src/a.ts:4:1)'],
  [
    'of an eval',
    [`eval (eval at report (${urlOf('a.ts')}:4:1), <anonymous>:7:2)`],
    'at eval (eval at report (a.ts:4:1), <anonymous>:7:2)',
  ],
  [
    'of an eval in a CommonJS module',
    [`eval (eval at report (${inside('a.js')}:4:1), <anonymous>:7:2)`],
    'at eval (eval at report (a.js:4:1), <anonymous>:7:2)',
  ],
  ['of a script without a file', ['evalmachine.<anonymous>:4:1'], 'at evalmachine.<anonymous>:4:1'],
] as const) {
  test(`a frame ${what} is shown as ${site.replace(process.cwd(), '…')}`, (t) => {
    t.is(formatSite(stackOf(...frames)), site);
    t.is(formatSite(stackOf(...frames)), site, 'and so a second time');
  });
}

test('a site is that of the application: a helper, and whoever called it', (t) => {
  const stack = stackOf(
    `Pool.acquire (${urlOf('node_modules/leasehold/dist/pool.js')}:1:1)`,
    'new Promise (<anonymous>)',
    `withDb (${urlOf('db.ts')}:4:10)`,
    'Array.map (<anonymous>)',
    'process.processTicksAndRejections (node:internal/process/task_queues:105:5)',
    `next (${inside('node_modules/express/lib/router.js')}:2:2)`,
    'call (C:\\app\\node_modules\\koa\\index.js:3:3)',
    'async Promise.all (index 0)',
    `async report (${urlOf('server.ts')}:41:9)`,
    `async ${urlOf('main.ts')}:1:1`,
  );
  t.is(formatSite(stack), 'at withDb (db.ts:4:10) from report (server.ts:41:9)');
});

test('a directory that only sounds like one of packages, or of Node, is the application’s', (t) => {
  t.is(
    formatSite(stackOf(`a (${urlOf('my_node_modules/a.ts')}:1:1)`, `b (${urlOf('node/b.ts')}:2:2)`)),
    'at a (my_node_modules/a.ts:1:1) from b (node/b.ts:2:2)',
  );
});

test('where all frames are foreign, the first one is better than none', (t) => {
  const stack = stackOf(
    'Array.map (<anonymous>)',
    'listOnTimeout (node:internal/timers:605:17)',
    `next (${inside('node_modules/express/lib/router.js')}:2:2)`,
  );
  t.is(formatSite(stack), 'at listOnTimeout (node:internal/timers:605:17)');
});

test('without a stack, or a frame in it, there is no site', (t) => {
  for (const stack of [undefined, '', 'Error', 'Error: at x (a.ts:1:1)', stackOf('Array.map (<anonymous>)')]) {
    t.is(formatSite(stack), '');
  }
});

test('a frame can not break out of its line', (t) => {
  t.is(
    formatSite(stackOf(`Object.a\u2028\u001bb (${inside('c\u0007d.js')}:4:1)`)),
    'at Object.a\\u2028\\u001bb (c\\u0007d.js:4:1)',
  );
});

test('many different stacks are shown right, again and again', (t) => {
  const stacks = Array.from({ length: 200 }, (_, index) => stackOf(`report (${urlOf('a.ts')}:${index + 1}:1)`));
  for (const _ of [1, 2]) {
    for (const [index, stack] of stacks.entries()) t.is(formatSite(stack), `at report (a.ts:${index + 1}:1)`);
  }
});

test('a stack that an application’s `Error.prepareStackTrace` made no text of is none', (t) => {
  t.is(formatSite([{}, {}] as never), '');
});

function writer(change: Partial<WriteHolder> = {}): WriteHolder {
  return { pool: 'orders', label: 'POST /order', kind: 'transaction', age: 4200, lease: undefined, ...change };
}

test('who may write is one line: who, for what, how long, and from where it was asked for', (t) => {
  t.is(formatWriteHolder(writer()), '\n  POST /order  transaction of pool "orders" for 4.2 s');
  t.is(
    formatWriteHolder(writer({ label: undefined, kind: 'write scope', age: 30, lease: holder() })),
    '\n  no label  write scope of pool "orders" for 30 ms, last used 4.1 s ago',
  );
  const lease = holder({ stack: stackOf('take (lease.ts:1:1)') });
  t.is(
    formatWriteHolder(writer({ lease, stack: stackOf('ask (lane.ts:2:2)') })),
    '\n  POST /order  transaction of pool "orders" for 4.2 s, last used 4.1 s ago   at ask (lane.ts:2:2)',
  );
  t.is(
    formatWriteHolder(writer({ lease })),
    '\n  POST /order  transaction of pool "orders" for 4.2 s, last used 4.1 s ago   at take (lease.ts:1:1)',
    'a raw transaction is begun by no call that asks, so its lease has to do',
  );
  t.is(
    formatWriteHolder(writer({ label: 'a\nb', pool: 'c\rd' })),
    '\n  a\\u000ab  transaction of pool "c\\u000dd" for 4.2 s',
  );
});

test('a label as long as a request body is cut, so that a message stays one', (t) => {
  t.is(printable('x'.repeat(500)), 'x'.repeat(500));
  t.is(printable('x'.repeat(501)), `${'x'.repeat(500)}…`);
  t.is(nameOf('Lease #1', 'x'.repeat(100_000), 'app').length, 'Lease #1 "" of "app"'.length + 501);
  // Cut first, so that what is hidden in its end costs nothing.
  t.is(printable(`${'x'.repeat(499)}\n\n`), `${'x'.repeat(499)}\\u000a…`);
});

test('a log that was never reclaimed is told in gigabytes', (t) => {
  t.is(formatBytes(999_949_999), '999.9 MB');
  t.is(formatBytes(999_950_000), '1.0 GB');
  t.is(formatBytes(42_000_000_000), '42.0 GB');
});

test('a frame in a file of another machine is shown as it is', (t) => {
  const site = 'report (file://server/share/a.ts:4:1)';
  t.is(formatSite(`Error\n    at ${site}`), `at ${site}`);
});

test('in a bundle the frames of the application are shown, though they are in the same file', async (t) => {
  const directory = temporaryDirectory(t);
  const extension = extname(import.meta.url);
  const bundle = join(directory, `app${extension}`);
  cpSync(fileURLToPath(new URL(`../lib/wording${extension}`, import.meta.url)), bundle);
  const url = pathToFileURL(bundle).href;
  const bundled = (await import(url)) as { readonly formatSite: typeof formatSite };
  t.true(bundled.formatSite(`Error\n    at report (${url}:4:1)`).endsWith(`app${extension}:4:1)`));
});
