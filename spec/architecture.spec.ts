import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const lib = fileURLToPath(new URL('../lib', import.meta.url));

/**
 * Data flows one way: a file imports only from rows above its own. Files of one row do not know each other,
 * except within a folder, where the rows are given again.
 */
const rows = [
  ['clock.ts', 'cancellations.ts', 'deadlines.ts', 'nearest.ts'],
  ['holder.ts'],
  ['observer.ts'],
  ['wording.ts', 'channels.ts', 'driver.ts', 'stats.ts'],
  ['errors.ts'],
  ['events.ts', 'congestion-errors.ts'],
  ['rules.ts'],
  ['log.ts', 'runtime.ts', 'target.ts', 'options.ts', 'pause.ts', 'transaction-errors.ts', 'context.ts'],
  ['waiters.ts'],
  ['turnstile.ts', 'lease.ts'],
  ['pool/slot.ts', 'pool/patience.ts', 'pool/housekeeping.ts', 'pool/observable.ts', 'pool/target-watch.ts'],
  ['pool/ledger.ts', 'pool/opener.ts'],
  ['pool/turnaround.ts'],
  ['pool/inventory.ts'],
  ['pool/watch.ts'],
  ['pool/lender.ts'],
  ['pool/stock.ts', 'pool/trace.ts', 'pool/request.ts'],
  ['pool/view.ts'],
  ['pool/pool.ts'],
  ['scope.ts'],
  ['sharing-pool.ts'],
  ['scoped-pool.ts'],
  ['level.ts'],
  ['transaction.ts'],
  ['open-transaction.ts'],
  ['transactional-pool.ts'],
  [
    'sqlite/better-sqlite3.ts',
    'sqlite/sql.ts',
    'sqlite/inspection.ts',
    'sqlite/transaction-options.ts',
    'sqlite/database-file.ts',
  ],
  ['sqlite/row-mode.ts', 'sqlite/lane.ts', 'sqlite/tag.ts'],
  ['sqlite/statement-cache.ts', 'sqlite/permit.ts', 'sqlite/waiting.ts', 'sqlite/query-object.ts'],
  ['sqlite/session.ts', 'sqlite/connection.ts'],
  ['sqlite/verbs.ts', 'sqlite/iterator.ts'],
  ['sqlite/statement.ts', 'sqlite/transaction-function.ts'],
  ['sqlite/handle.ts'],
  ['sqlite/ambient.ts', 'sqlite/options.ts'],
  ['sqlite/driver.ts', 'sqlite/lane-finder.ts'],
  ['sqlite/writing-pool.ts'],
  ['sqlite/pool.ts'],
  ['create-pool.ts'],
  ['index.ts'],
  // Nobody above knows that they exist: each is a way in of its own.
  ['telemetry/figures.ts'],
  ['telemetry/pool-group.ts', 'telemetry/spans.ts'],
  ['telemetry/opentelemetry.ts', 'telemetry/prometheus.ts'],
  ['http/request-scope.ts'],
  ['http/held-end.ts', 'http/streamed-body.ts', 'http/transactional.ts'],
  ['http/exchange.ts'],
  ['http/express.ts', 'http/fastify.ts', 'http/hono.ts', 'http/koa.ts', 'http/node.ts', 'http/trpc.ts'],
  ['orm/drizzle/internals.ts', 'orm/drizzle/cache.ts'],
  ['orm/drizzle/query.ts'],
  ['orm/drizzle/session.ts'],
  ['orm/drizzle/database.ts'],
  ['orm/drizzle/migrate.ts'],
  ['orm/kysely/rows.ts'],
  ['orm/kysely/transaction.ts', 'orm/kysely/adapter.ts'],
  ['orm/kysely/connection.ts'],
  ['orm/kysely/driver.ts'],
  ['orm/knex/connection.ts', 'orm/knex/stream.ts'],
  ['orm/knex/runner.ts', 'orm/knex/transaction.ts'],
  ['orm/drizzle.ts', 'orm/knex.ts', 'orm/kysely.ts'],
  [
    'postgres/sql.ts',
    'postgres/transaction-options.ts',
    'postgres/hosts.ts',
    'postgres/cancel-request.ts',
    'postgres/answer-deadline.ts',
  ],
  ['postgres/operation.ts'],
  ['postgres/query-call.ts'],
  ['postgres/session.ts', 'postgres/connection.ts'],
  ['postgres/verbs.ts', 'postgres/inbox.ts', 'postgres/iterate.ts'],
  ['postgres/handle.ts'],
  ['postgres/options.ts'],
  ['postgres/driver.ts'],
  ['postgres/pool.ts'],
  ['postgres.ts'],
  ['inspector/wire.ts', 'inspector/page.generated.ts', 'inspector/excerpt.ts', 'inspector/plain.ts'],
  ['inspector/track.ts', 'inspector/ended-lease.ts', 'inspector/notes.ts', 'inspector/loop.ts', 'inspector/access.ts'],
  ['inspector/busy-connection.ts'],
  ['inspector/longest.ts'],
  ['inspector/recorder.ts'],
  ['inspector/subject.ts'],
  ['inspector/monitor.ts', 'inspector/options.ts'],
  ['inspector/stream.ts'],
  ['inspector/answers.ts', 'inspector/node-exchange.ts'],
  ['inspector/mounts.ts'],
  ['inspector.ts'],
  // The command line: what all commands share, what can be told of a file from outside, then each command.
  ['cli/text.ts'],
  ['cli/command.ts'],
  ['cli/colours.ts'],
  ['cli/outside/file-state.ts', 'cli/outside/peek.ts'],
  ['cli/outside/header.ts', 'cli/outside/locks.ts', 'cli/outside/standing.ts', 'cli/outside/wal.ts'],
  ['cli/outside/processes.ts'],
  ['cli/outside/observe.ts'],
  [
    'cli/doctor/examination.ts',
    'cli/doctor/guess.ts',
    'cli/doctor/names.ts',
    'cli/doctor/surroundings.ts',
    'cli/doctor/wording.ts',
  ],
  [
    'cli/doctor/examine.ts',
    'cli/doctor/finding.ts',
    'cli/doctor/progress.ts',
    'cli/doctor/reading.ts',
    'cli/doctor/damage.ts',
  ],
  [
    'cli/doctor/copy.ts',
    'cli/doctor/findings/file.ts',
    'cli/doctor/findings/schema.ts',
    'cli/doctor/findings/space.ts',
    'cli/doctor/findings/stranded.ts',
    'cli/doctor/findings/users.ts',
    'cli/doctor/left-log.ts',
    'cli/doctor/look.ts',
    'cli/doctor/plan.ts',
    'cli/doctor/report.ts',
    'cli/doctor/survey.ts',
    'cli/doctor/verdict.ts',
  ],
  ['cli/doctor/checks.ts', 'cli/doctor/findings/content.ts', 'cli/doctor/findings/journal.ts'],
  ['cli/doctor/examiner.ts', 'cli/doctor/findings.ts'],
  ['cli/doctor.ts'],
  [
    'cli/top/address.ts',
    'cli/top/event-stream.ts',
    'cli/top/history.ts',
    'cli/top/json.ts',
    'cli/top/screen.ts',
    'cli/top/shape.ts',
    'cli/top/times.ts',
  ],
  [
    'cli/top/columns.ts',
    'cli/top/file-history.ts',
    'cli/top/lines.ts',
    'cli/top/report.ts',
    'cli/top/request.ts',
    'cli/top/settings.ts',
  ],
  ['cli/top/feed.ts', 'cli/top/glyphs.ts'],
  ['cli/top/layout.ts'],
  ['cli/top/file-picture.ts', 'cli/top/live.ts', 'cli/top/once.ts', 'cli/top/pool-picture.ts'],
  ['cli/top/file.ts', 'cli/top/picture.ts'],
  ['cli/top/inspector.ts'],
  ['cli/top.ts'],
  ['cli/main.ts'],
  ['cli/process.ts'],
  ['cli.ts'],
];

// A connection makes the session of each of its leases, and a session guards the way to its connection.
const pairs = new Set(
  ['sqlite', 'postgres'].flatMap((folder) => [
    `${folder}/session.ts → ${folder}/connection.ts`,
    `${folder}/connection.ts → ${folder}/session.ts`,
  ]),
);

const all = globSync('**/*.ts', { cwd: lib }).map((file) => file.replaceAll('\\', '/'));
// Runs in browsers, and is bundled into one file of the library.
const ofPage = all.filter((file) => file.startsWith('inspector/page/'));
const files = all.filter((file) => !ofPage.includes(file));
const rowOf = (file: string) => rows.findIndex((row) => row.includes(file));

function importsOf(file: string): string[] {
  const source = readFileSync(join(lib, file), 'utf8');
  return [...source.matchAll(/(?:from|^import) '([^']+)';|\bimport\('([^']+)'\)/gm)].map(
    ([, one, other]) => one ?? other ?? '',
  );
}

test('every file of lib has its place in the order, and no place is without its file', (t) => {
  t.deepEqual(files.toSorted(), rows.flat().toSorted());
});

test('a file imports only from above', (t) => {
  for (const file of files) {
    for (const specifier of importsOf(file).filter((name) => name.startsWith('.'))) {
      const target = normalize(join(dirname(file), specifier)).replaceAll('\\', '/');
      const edge = `${file} → ${target}`;
      t.true(rowOf(target) !== -1 && (rowOf(target) < rowOf(file) || pairs.has(edge)), edge);
    }
  }
});

test('of the library the page in the browser knows nothing but the types of what it is told', (t) => {
  for (const file of ofPage.filter((name) => name !== 'inspector/page/bundle.ts')) {
    const strangers = importsOf(file).filter((specifier) => !specifier.startsWith('./'));
    t.deepEqual(new Set([...strangers, '../wire.ts']), new Set(['../wire.ts']), file);
  }
});

test('what is above lib/sqlite knows nothing of SQLite', (t) => {
  const first = rowOf('sqlite/better-sqlite3.ts');
  for (const file of files.filter((name) => name !== 'index.ts' && rowOf(name) < first)) {
    t.false(importsOf(file).includes('better-sqlite3'), file);
    // Word for word, outside comments: no SQL in the pool.
    const code = readFileSync(join(lib, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    t.notRegex(code, /\b(?:PRAGMA|ROLLBACK|SAVEPOINT|COMMIT|SELECT)\b/, file);
  }
});

test('of two databases neither knows of the other', (t) => {
  const pairsOfFolders = [
    ['sqlite/', '/postgres'],
    ['postgres', '/sqlite/'],
  ] as const;
  for (const [own, other] of pairsOfFolders) {
    for (const file of files.filter((name) => name.startsWith(own))) {
      t.false(
        importsOf(file).some((specifier) => specifier.includes(other)),
        file,
      );
    }
  }
});

test('lib/sqlite contains no queueing: the write lane is a turnstile, and only the lane and who waits for it know that', (t) => {
  for (const file of files.filter((name) => name.startsWith('sqlite/'))) {
    const imports = importsOf(file);
    t.false(
      imports.some((specifier) => specifier === 'p-queue' || specifier.includes('waiters')),
      file,
    );
    const knowsTurnstile = imports.some((specifier) => specifier.includes('turnstile'));
    t.is(knowsTurnstile, file === 'sqlite/lane.ts' || file === 'sqlite/waiting.ts', file);
  }
});

test('lib/index.ts is the only barrel, beside the ways in of the subpaths', (t) => {
  const ways =
    /^(?:index|postgres|inspector|telemetry\/(?:opentelemetry|prometheus)|http\/(?:express|fastify|hono|koa|node|trpc)|orm\/(?:drizzle|knex|kysely))\.ts$/;
  for (const file of files.filter((name) => !ways.test(name))) {
    t.notRegex(readFileSync(join(lib, file), 'utf8'), /^export (?:type )?(?:\*|\{[^}]*\}) from/m, file);
  }
});

test('no file of lib is longer than 400 lines', (t) => {
  const written = [...files, ...ofPage].filter((file) => !file.includes('.generated.'));
  for (const file of written) t.true(readFileSync(join(lib, file), 'utf8').split('\n').length <= 401, file);
});
