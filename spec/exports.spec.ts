import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { temporaryDirectory } from './support/files.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
// Compiled specs lie a level deeper, and have no business with packaging.
const isSource = existsSync(join(root, 'tsconfig.build.json'));
const ifSource = isSource ? test : test.skip;

const own = ['better-sqlite3', 'p-queue'] as const;

/** A way in beside the main one. */
interface Subpath {
  readonly folder: string;
  /** The package it is for, `undefined` where that is Node itself. */
  readonly peer: string | undefined;
  /** Which packages it imports when it is imported. The others know their peer by its shape alone. */
  readonly imports: readonly string[];
  /** Packages that it asks for only where they are needed. */
  readonly later?: readonly string[];
}

const subpaths: Readonly<Record<string, Subpath>> = {
  opentelemetry: { folder: 'telemetry', peer: '@opentelemetry/api', imports: ['@opentelemetry/api'] },
  prometheus: { folder: 'telemetry', peer: 'prom-client', imports: ['prom-client'] },
  express: { folder: 'http', peer: 'express', imports: [] },
  fastify: { folder: 'http', peer: 'fastify', imports: [] },
  koa: { folder: 'http', peer: 'koa', imports: [] },
  hono: { folder: 'http', peer: 'hono', imports: ['hono'] },
  node: { folder: 'http', peer: undefined, imports: [] },
  trpc: { folder: 'http', peer: '@trpc/server', imports: [] },
  kysely: { folder: 'orm', peer: 'kysely', imports: ['kysely'] },
  drizzle: { folder: 'orm', peer: 'drizzle-orm', imports: ['drizzle-orm'] },
  knex: { folder: 'orm', peer: 'knex', imports: ['knex'] },
  inspector: { folder: '.', peer: undefined, imports: [] },
  postgres: { folder: '.', peer: 'pg', imports: ['pg'], later: ['pg-cursor'] },
};
const names = Object.keys(subpaths);
const peers = Object.values(subpaths).flatMap(({ peer, later = [] }) => [peer ?? [], later].flat());

interface Manifest {
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional?: boolean }>>;
}

const manifest = isSource
  ? (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest)
  : (undefined as unknown as Manifest);

// The compiler runs once for all, into a place of its own: the checkout's `dist` may be in the making.
const built = mkdtempSync(join(tmpdir(), 'leasehold-'));

test.before(async () => {
  if (!isSource) return;
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  await run(process.execPath, [
    compiler,
    '-p',
    join(root, 'tsconfig.build.json'),
    '--checkers',
    '1',
    '--outDir',
    built,
  ]);
});

test.after.always(() => rmSync(built, { recursive: true, force: true }));

/** An application that has installed the package, and of its peers those that are named. */
function application(t: ExecutionContext, installed: readonly string[]): string {
  const directory = temporaryDirectory(t);
  const packages = join(directory, 'node_modules');
  const target = join(packages, 'leasehold');
  cpSync(built, join(target, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(target, 'package.json'));
  for (const name of [...own, ...installed]) {
    mkdirSync(dirname(join(packages, name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(packages, name));
  }
  return directory;
}

/** Runs a module in a directory, and gives what it prints. */
async function print(directory: string, program: string): Promise<unknown> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], { cwd: directory });
  return JSON.parse(stdout) as unknown;
}

const refusal = `({ code, message }) => ({ code, message })`;

/** Lists what is loaded by what follows, whether by `import` or by `require`. */
const recording = `
  import { registerHooks } from 'node:module';
  const loaded = [];
  registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });`;

ifSource('every peer is optional, and every subpath is where it says', (t) => {
  t.deepEqual(Object.keys(manifest.peerDependencies).toSorted(), peers.toSorted());
  for (const peer of peers) {
    t.true(manifest.peerDependenciesMeta[peer]?.optional);
    t.false(peer in manifest.dependencies);
  }
  t.deepEqual(
    Object.keys(manifest.exports).toSorted(),
    ['.', './package.json', ...names.map((name) => `./${name}`)].toSorted(),
  );
  for (const [name, { folder }] of Object.entries(subpaths)) {
    t.deepEqual(manifest.exports[`./${name}`], {
      types: `./${posix.join('dist', folder, name)}.d.ts`,
      default: `./${posix.join('dist', folder, name)}.js`,
    });
    for (const file of [`${name}.d.ts`, `${name}.js`]) t.true(existsSync(join(built, folder, file)), file);
  }
});

ifSource('the main entry loads no peer and no adapter, though all are installed', async (t) => {
  const directory = application(t, peers);
  const loaded = (await print(
    directory,
    `${recording}
    const { createPool } = await import('leasehold');
    const pool = createPool('app.db');
    await pool.transaction(() => {});
    await pool.close();
    console.log(JSON.stringify(loaded));`,
  )) as string[];
  t.true(loaded.some((url) => url.endsWith('leasehold/dist/index.js')));
  t.true(
    loaded.some((url) => url.includes('better-sqlite3')),
    'packages are seen',
  );
  const unwanted = [
    ...peers.map((peer) => `node_modules/${peer}/`),
    ...['telemetry', 'http', 'orm', 'postgres', 'inspector', 'cli'].map((folder) => `leasehold/dist/${folder}/`),
  ];
  for (const part of unwanted)
    t.deepEqual(
      loaded.filter((url) => url.includes(part)),
      [],
    );
});

for (const [name, { imports, folder, peer }] of Object.entries(subpaths)) {
  ifSource(`leasehold/${name} imports ${imports.join() || 'nothing'} beside what Leasehold depends on`, async (t) => {
    const asked = (await print(
      application(t, peers),
      `import { registerHooks } from 'node:module';
      const asked = [];
      registerHooks({
        resolve(specifier, context, next) {
          if (context.parentURL?.includes('/leasehold/dist/')) asked.push(specifier);
          return next(specifier, context);
        },
      });
      await import('leasehold/${name}');
      console.log(JSON.stringify(asked));`,
    )) as string[];
    const packages = asked.filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:'));
    const others = packages.map(packageOf).filter((each) => !(own as readonly string[]).includes(each));
    t.deepEqual(new Set(others), new Set(imports));
  });

  ifSource(
    `without any peer leasehold/${name} ${imports.length > 0 ? 'says what is missing' : 'can be imported'}`,
    async (t) => {
      const found = (await print(
        application(t, []),
        `const found = await import('leasehold/${name}').then(() => 'imported', ${refusal});
      console.log(JSON.stringify(found));`,
      )) as { readonly code: string; readonly message: string } | 'imported';
      if (found === 'imported' || imports.length === 0) {
        t.deepEqual([found, imports], ['imported', []]);
      } else {
        t.is(found.code, 'ERR_MODULE_NOT_FOUND');
        t.true(found.message.includes(`'${peer}'`), found.message);
        t.true(found.message.includes(`${posix.join('dist', folder)}/`), found.message);
      }
    },
  );
}

ifSource('without any peer all else works', async (t) => {
  const rows = await print(
    application(t, []),
    `import { createPool } from 'leasehold';
    const pool = createPool('app.db');
    await pool.run('CREATE TABLE item (name TEXT)');
    const rows = await pool.all('SELECT * FROM item');
    await pool.close();
    console.log(JSON.stringify(rows));`,
  );
  t.deepEqual(rows, []);
});

ifSource(
  'without any peer a program that imports the main entry and the adapters of frameworks compiles',
  async (t) => {
    const directory = application(t, ['@types/node', '@types/better-sqlite3', 'undici-types']);
    const structural = names.filter((name) => subpaths[name]?.folder === 'http');
    const program = [
      "import type Database from 'better-sqlite3';",
      "import { createPool, type LeasedDatabase } from 'leasehold';",
      ...structural.map((name) => `import * as ${name} from 'leasehold/${name}';`),
      "const pool = createPool('app.db');",
      `export const all = [${structural.map((name) => `${name}.transactional`).join(', ')}];`,
      'export const middleware = [express.express(pool), koa.koa(pool), hono.hono(pool), trpc.trpc(pool)];',
      'export const options: fastify.FastifyOptions = { pool };',
      // What is written for a leased handle takes `pool.db`, and what is written for better-sqlite3 takes both.
      'const byHandle = (db: LeasedDatabase): boolean => db.open;',
      'const byDatabase = (db: Database.Database): boolean => db.open;',
      'export const taken = pool.withConnection((db) => [byHandle(db), byHandle(pool.db), byDatabase(db), byDatabase(pool.db)]);',
    ];
    writeFileSync(join(directory, 'app.ts'), program.join('\n'));
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const strict = [
      '--strict',
      '--exactOptionalPropertyTypes',
      '--noUncheckedIndexedAccess',
      '--skipLibCheck',
      'false',
    ];
    const target = [
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--lib',
      'es2024,esnext.disposable',
      '--types',
      'node',
    ];
    const outcome = await run(process.execPath, [compiler, '--noEmit', ...strict, ...target, 'app.ts'], {
      cwd: directory,
    }).then(
      () => '',
      ({ stdout }: { readonly stdout: string }) => stdout,
    );
    t.is(outcome, '');
  },
);

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

ifSource('nothing else of the inside can be imported', async (t) => {
  const codes = await print(
    application(t, peers),
    `const paths = ['telemetry/figures', 'dist/index.js', 'dist/telemetry/figures.js', 'channels'];
    const codes = await Promise.all(paths.map((path) => import('leasehold/' + path).then(() => path, ({ code }) => code)));
    console.log(JSON.stringify(codes));`,
  );
  t.deepEqual(
    codes,
    Array.from({ length: 4 }, () => 'ERR_PACKAGE_PATH_NOT_EXPORTED'),
  );
});

ifSource('the subpaths watch the pools of the main entry, as installed', async (t) => {
  const text = await print(
    application(t, peers),
    `import { createPool } from 'leasehold';
    import { instrument } from 'leasehold/opentelemetry';
    import { collect } from 'leasehold/prometheus';
    import { Registry } from 'prom-client';
    const spans = [];
    const span = (name) => ({ setAttributes() {}, setAttribute() {}, recordException() {}, setStatus() {}, end: () => spans.push(name) });
    const tracerProvider = { getTracer: () => ({ startSpan: span }) };
    const registry = new Registry();
    const pool = createPool('app.db', { max: 3 });
    instrument(pool, { tracerProvider });
    collect(pool, { registry });
    await pool.transaction(() => {});
    const max = await registry.getSingleMetric('db_client_connection_max').get();
    await pool.close();
    console.log(JSON.stringify([spans.filter((name) => name === 'leasehold.transaction'), max.values]));`,
  );
  t.deepEqual(text, [['leasehold.transaction'], [{ value: 3, labels: { db_client_connection_pool_name: 'app' } }]]);
});
