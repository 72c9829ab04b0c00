import test from 'ava';
import * as fc from 'fast-check';
import { painter } from '../../../lib/cli/colours.ts';
import { visible, widthOf } from '../../../lib/cli/text.ts';
import type { Link } from '../../../lib/cli/top/feed.ts';
import { History } from '../../../lib/cli/top/history.ts';
import { paintRow, paintScreenRow } from '../../../lib/cli/top/layout.ts';
import { pictureOf } from '../../../lib/cli/top/picture.ts';
import type { Report } from '../../../lib/inspector/wire.ts';
import { Emulator } from './support/emulator.ts';
import { holder, lease, note, poolState, poolTick, report, Simulation, start } from './support/simulation.ts';

function drawn(told: Report, width = 80, height = 24, link: Link = { state: 'live' }): string[] {
  const history = new History();
  history.add(told);
  const view = { width, height, address: '127.0.0.1:3000/_pool', link, linkSince: start };
  return pictureOf(history, view).map((row) => paintRow(row, width, painter(false)));
}

function rowOf(rows: readonly string[], name: string): string {
  return rows.find((row) => row.startsWith(`${name} `)) ?? '';
}

function minute(options?: ConstructorParameters<typeof Simulation>[0]): Simulation {
  const simulation = new Simulation(options);
  for (let tick = 0; tick < 60; tick++) simulation.tick();
  return simulation;
}

test('a full pool is called so, and who holds it and who waits is there', (t) => {
  const rows = drawn(minute().report(), 80, 40);
  t.regex(rows[0] ?? '', /^app {2}127\.0\.0\.1:3000\/_pool {2}pid 4711 .* live \d\d:\d\d:\d\d$/);
  t.regex(rowOf(rows, 'leased'), /^leased {3}█+ 8\/8 FULL {2}idle 0 {2}open 8$/);
  t.regex(rowOf(rows, 'waiting'), / 3 {2}first for 1\.6 s$/);
  t.regex(rowOf(rows, 'lane'), /2 wait {2}1\.2 s {2}POST \/orders/);
  t.regex(rowOf(rows, '#2'), /[░▒▓].* 1\.4 s {2}POST \/orders {2}writes$/);
  t.regex(rowOf(rows, '#8'), /█ 5\.6 s {2}GET \/items\/8$/);
  t.regex(rowOf(rows, 'waits'), /p50 0\.4 ms +p95 12 ms +p99 40 ms +max 1\.2 s +last 5 s$/);
  t.regex(rowOf(rows, 'loop'), /busy \d+ %$/);
  t.true(rows.includes('HELD LONGEST'));
  t.true(rows.includes('WAITING 5'));
  t.true(rows.some((row) => /^ {2}1\.6 s {2}conn\. {2}GET \/waits\/1 {2}gives up in 3\.4 s$/.test(row)));
  // Of a message only the first line.
  t.true(rows.some((row) => /timeout {2}Timed out after 5000 ms/.test(row)));
  t.false(rows.join().includes('#1 GET /report'));
});

test('a pool of a million connections is shown as far as any screen goes', (t) => {
  const connections = Array.from({ length: 1_000_000 }, (_, index) => index);
  const rows = drawn(report({ pools: [poolState({ size: connections.length, connections })] }), 80, 1100);
  t.regex(rowOf(rows, 'leased'), /open 1000000$/);
  t.is(rows.filter((row) => /^#\d/.test(row)).length, 1000);
});

test('a pool that does nothing looks as if it did nothing', (t) => {
  const rows = drawn(report());
  t.regex(rowOf(rows, 'leased'), /^leased {3}░+ 0\/8 {2}idle 2 {2}open 2$/);
  t.regex(rowOf(rows, 'lane'), / free$/);
  t.is(rowOf(rows, 'waits'), 'waits    none yet');
  const withoutLegend = rows.filter((row) => !row.includes('▓ writes')).join('\n');
  t.notRegex(withoutLegend, /FULL|[▁-█▒▓]|WAITING|LONGEST/);
});

test('a pool is full when the inspector says so, not when as many are leased as it may have', (t) => {
  // The write lane has one more connection of its own.
  t.regex(rowOf(drawn(report({ pools: [poolState({ leased: 8, full: false })] })), 'leased'), / 8\/8 {2}idle/);
  t.regex(rowOf(drawn(report({ pools: [poolState({ leased: 9, full: true })] })), 'leased'), / 9\/8 FULL {2}idle/);
});

test('what has been since the pool was made stands in where nothing ended lately', (t) => {
  const waitTime = { count: 5, p50: 1, p95: 2, p99: 3, max: 4 };
  const trends = [{ pool: 1, at: start, wait: { ...waitTime, count: 0 }, hold: { ...waitTime, count: 0 } }];
  const rows = drawn(report({ trends, pools: [poolState({ waitTime })] }));
  t.regex(rowOf(rows, 'waits'), /p95 2 ms .* ever$/);
});

test('a connection that writes is told from one that reads by the glyph alone', (t) => {
  const [from, to] = [start - 20_000, start];
  const bars = [lease({ connection: 1, from, to }), lease({ connection: 2, from, to, writes: [[from, to]] })];
  const ticks = [{ number: 1, at: start, loop: { delay: 0, busy: 0 }, pools: [poolTick({ bars })] }];
  const rows = drawn(report({ ticks }));
  t.regex(rowOf(rows, '#1'), /█{10,}/);
  t.notRegex(rowOf(rows, '#1'), /[░▒▓]/);
  t.regex(rowOf(rows, '#2'), /▓{10,}/);
  t.notRegex(rowOf(rows, '#2'), /█/);
});

test('several pools are one below the other, each with what matters most of it', (t) => {
  const rows = drawn(minute({ pools: ['app', 'jobs', 'logs'] }).report(), 80, 24);
  t.regex(rows[0] ?? '', /^3 pools/);
  const heads = rows.filter((row) => row.startsWith('── '));
  t.deepEqual(
    heads.map((row) => row.split(' ')[1]),
    ['app', 'jobs', 'logs'],
  );
  t.is(rows.filter((row) => row.includes('8/8 FULL')).length, 3);
  t.is(rows.length, 24);
});

test('a closed pool says so', (t) => {
  t.true(drawn(report({ pools: [poolState({ closed: true })] })).includes('closed   it tells nothing any more'));
});

test('a server that is silent is said to be that, with since when', (t) => {
  const rows = drawn(minute().report(), 80, 10, { state: 'silent' });
  t.regex(rows[0] ?? '', /SILENT \d\d:\d\d:\d\d$/);
  t.regex(rows[1] ?? '', /^Nothing has come since \d\d:\d\d:\d\d: its event loop may be blocked\.$/);
});

test('before the first report there is the title alone', (t) => {
  const view = { width: 80, height: 24, address: 'here', link: { state: 'live' }, linkSince: start } as const;
  const rows = pictureOf(new History(), view).map((row) => paintRow(row, 80, painter(false)));
  t.is(rows.length, 1);
  t.regex(rows[0] ?? '', /^0 pools {2}here +live \d\d:\d\d:\d\d$/);
});

for (const [uptime, shown] of [
  [42_000, '42.0 s'],
  [754_000, '12 min'],
  [3 * 3_600_000 + 5 * 60_000, '3 h 5 min'],
  [86_400_000, '1 d 0 h'],
  [52 * 3_600_000, '2 d 4 h'],
] as const) {
  test(`a server that is up for ${uptime} ms is up ${shown}`, (t) => {
    t.regex(drawn(report({ server: { uptime } }))[0] ?? '', new RegExp(` up ${shown} {2}node `));
  });
}

test('what a holder does is beside it', (t) => {
  const holders = [
    holder({ connection: 1, mode: 'read', label: undefined }),
    holder({ connection: 2, inTransaction: true }),
    holder({ connection: 3 }),
  ];
  const rows = drawn(report({ pools: [poolState({ leased: 3, connections: [1, 2, 3], holders })] }), 80, 40);
  t.regex(rowOf(rows, '#1'), / 1\.0 s {2}no label {2}snapshot$/);
  t.regex(rowOf(rows, '#2'), / 1\.0 s {2}GET \/ {2}in transaction$/);
  t.regex(rowOf(rows, '#3'), / 1\.0 s {2}GET \/$/);
});

test('what somebody waits for is said, with how long still and before whom', (t) => {
  const waiter = { label: 'GET /', waited: 1600, left: undefined, priority: 0, scope: undefined };
  const waiters = [
    { ...waiter, for: 'connection', priority: 5 },
    { ...waiter, for: 'write lane', left: 400 },
  ] as const;
  const rows = drawn(report({ pools: [poolState({ waiting: 1, lane: undefined, waiters })] }), 80, 40);
  // A pool without a write lane, as of PostgreSQL: only those who wait for a connection count.
  t.true(rows.includes('WAITING 1'));
  t.is(rowOf(rows, 'lane'), '');
  t.true(rows.includes('  1.6 s  conn.  GET /  priority 5'));
  t.true(rows.includes('  1.6 s  lane   GET /  gives up in 400 ms'));
});

test('a write lane that another pool has is told with its name', (t) => {
  const lane = {
    holder: { pool: 'jobs', label: undefined, kind: 'statement', age: 40, lease: undefined },
    waiting: 0,
  } as const;
  t.regex(
    rowOf(drawn(report({ pools: [poolState({ lane })] }), 200), 'lane'),
    / 40 ms {2}no label {2}statement {2}of jobs$/,
  );
});

test('a pool that may open nothing and tells of no counters is full, with none of anything', (t) => {
  const rows = drawn(
    report({ pools: [poolState({ max: 0, size: 0, idle: 0, connections: [], counters: {} })] }),
    80,
    40,
  );
  t.regex(rowOf(rows, 'leased'), /^leased {3}█+ 0\/0 FULL {2}idle 0 {2}open 0$/);
  t.is(rowOf(rows, 'in'), 'in all   0 leases');
});

test('what is lost is said above what was there last', (t) => {
  const rows = drawn(minute().report(), 80, 10, { state: 'lost', reason: 'nothing listens there (ECONNREFUSED)' });
  t.regex(rows[0] ?? '', /LOST \d\d:\d\d:\d\d$/);
  t.regex(rows[1] ?? '', /^Lost at \d\d:\d\d:\d\d: nothing listens there \(ECONNREFUSED\)\. Trying again\.$/);
  t.regex(rows[2] ?? '', /8\/8 FULL/);
});

test('a report is added to those before, and a complete one makes them forgotten', (t) => {
  const history = new History();
  const simulation = minute();
  history.add(simulation.report());
  simulation.tick();
  history.add(simulation.report({ tick: 59, server: 'one' }));
  t.deepEqual(
    history.ticks.map(({ number }) => number),
    Array.from({ length: 61 }, (_, number) => number),
  );
  // Told twice, as where the answer to a question crossed the stream.
  history.add(simulation.report({ tick: 50, server: 'one' }));
  t.is(history.ticks.length, 61);
  // As after a connection that was lost: nobody knows what came in between.
  history.add({ ...simulation.report({ tick: 58, server: 'one' }), complete: true });
  t.deepEqual(
    history.ticks.map(({ number }) => number),
    [59, 60],
  );
  const other = new Simulation({ id: 'two', from: start + 100_000 });
  other.tick();
  history.add(other.report());
  t.deepEqual(
    history.ticks.map(({ number }) => number),
    [0],
  );
  t.deepEqual(history.notesOf(1), []);
});

test('at every size the picture fits, and the more important rows are those that stay', (t) => {
  const told = minute({ pools: ['app', 'jobs'] }).report();
  for (let width = 1; width <= 130; width += width < 45 ? 1 : 17) {
    let before = 0;
    for (let height = 1; height <= 60; height += 3) {
      const rows = drawn(told, width, height);
      t.true(rows.length <= height);
      t.true(rows.length >= before, 'more rows where there is more room');
      before = rows.length;
      for (const row of rows) t.true(widthOf(row) <= width, `${width}: ${row}`);
      t.regex(rows[0] ?? '', width >= 24 ? /live/ : /./);
      if (width >= 40 && height >= 5) t.is(rows.filter((row) => row.startsWith('leased')).length, 2);
    }
  }
});

const ours = new RegExp(String.raw`${'\u001b'}\[(?:[\d;]+m|\d+G)`, 'g');

const hostile = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      '\u001b[31m',
      '\u001b[2J',
      '\u001b]0;x\u0007',
      '\u009b',
      '\n',
      '\r',
      '\t',
      '\b',
      '\u202e',
      '\u200d',
      '注',
      '👩‍👩‍👧',
      '🇨',
      'e\u0301',
    ),
    fc.string({ unit: 'binary', maxLength: 3 }),
  ),
  maxLength: 40,
});

test('whatever texts are told neither break nor colour the screen', (t) => {
  fc.assert(
    fc.property(hostile, fc.integer({ min: 40, max: 100 }), (text, width) => {
      const told = report({
        ticks: [
          {
            number: 1,
            at: start,
            loop: { delay: 0, busy: 0 },
            pools: [poolTick({ notes: [note({ kind: text as never, message: text })] })],
          },
        ],
        pools: [
          poolState({
            name: text,
            leased: 1,
            holders: [holder({ label: text, mode: text as never })],
            longest: [lease({ label: text })],
            waiters: [{ for: text as never, label: text, waited: 1, left: 1, priority: 0, scope: 1 }],
            lane: { holder: { pool: text, label: text, kind: text as never, age: 1, lease: 1 }, waiting: 0 },
          }),
        ],
        server: { node: text },
      });
      const emulator = new Emulator(width, 30);
      emulator.wraps = false;
      const history = new History();
      history.add(told);
      const view = {
        width,
        height: 30,
        address: text,
        link: { state: 'lost', reason: text } as const,
        linkSince: start,
      };
      for (const [index, row] of pictureOf(history, view).entries()) {
        const shown = paintScreenRow(row, width, painter(true));
        // Nothing but what the painter and the sending of the cursor to a column are made of.
        t.notRegex(shown.replaceAll(ours, ''), /[\p{Cc}\u202a-\u202e]/u);
        emulator.write(`\u001b[${index + 1};1H${shown}`);
      }
      t.regex(emulator.screen.find((row) => row.startsWith('leased')) ?? '', /1\/8/);
      t.is(
        emulator.screen.findIndex((row) => row.startsWith('#2')),
        emulator.screen.findIndex((row) => row.startsWith('#1')) + 1,
      );
      for (let row = 0; row < 30; row++) t.true(emulator.widthOfRow(row) <= width);
    }),
    { numRuns: 150 },
  );
});

test('what a text was before it was made harmless can be told', (t) => {
  const rows = drawn(report({ pools: [poolState({ holders: [holder({ label: 'GET /\u001b[31m注文' })] })] }));
  t.true(rows.some((row) => row.includes(visible('GET /\u001b[31m注文'))));
});
