import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { temporaryDirectory } from '../support/files.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
// Compiled specs lie a level deeper, and have no business with packaging.
const isSource = existsSync(join(root, 'tsconfig.build.json'));
const ifSource = isSource ? test : test.skip;

const peers = ['@opentelemetry/api', 'prom-client'] as const;
const own = ['better-sqlite3', 'p-queue'] as const;

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
  await run(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json'), '--outDir', built]);
});

test.after.always(() => rmSync(built, { recursive: true, force: true }));

/** An application that has installed the package, and of its peers those that are named. */
function application(t: ExecutionContext, installed: readonly string[]): string {
  const directory = temporaryDirectory(t);
  const packages = join(directory, 'node_modules');
  const target = join(packages, 'leasehold');
  cpSync(built, join(target, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(target, 'package.json'));
  mkdirSync(join(packages, '@opentelemetry'));
  for (const name of [...own, ...installed]) symlinkSync(join(root, 'node_modules', name), join(packages, name));
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

ifSource('both peers are optional, and each has a subpath of its own', (t) => {
  t.deepEqual(Object.keys(manifest.peerDependencies).toSorted(), [...peers].toSorted());
  for (const peer of peers) {
    t.true(manifest.peerDependenciesMeta[peer]?.optional);
    t.false(peer in manifest.dependencies);
  }
  for (const name of ['opentelemetry', 'prometheus']) {
    t.deepEqual(manifest.exports[`./${name}`], {
      types: `./dist/telemetry/${name}.d.ts`,
      default: `./dist/telemetry/${name}.js`,
    });
    for (const file of [`${name}.d.ts`, `${name}.js`]) t.true(existsSync(join(built, 'telemetry', file)), file);
  }
});

ifSource('the main entry loads no peer, though all are installed', async (t) => {
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
  for (const peer of peers)
    t.deepEqual(
      loaded.filter((url) => url.includes(peer)),
      [],
    );
  t.deepEqual(
    loaded.filter((url) => url.includes('leasehold/dist/telemetry')),
    [],
  );
});

for (const [subpath, peer] of [
  ['opentelemetry', '@opentelemetry/api'],
  ['prometheus', 'prom-client'],
] as const) {
  ifSource(`leasehold/${subpath} imports its own peer only, and no database`, async (t) => {
    // A peer may well have the other for itself.
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
      await import('leasehold/${subpath}');
      console.log(JSON.stringify(asked));`,
    )) as string[];
    t.deepEqual(
      new Set(asked.filter((name) => !name.startsWith('.') && !name.startsWith('node:'))),
      new Set<string>([peer]),
    );
  });

  ifSource(`without ${peer} leasehold/${subpath} can not be imported, and Node says why; all else can`, async (t) => {
    const others = peers.filter((each) => each !== peer);
    const [error, rest] = (await print(
      application(t, others),
      `const error = await import('leasehold/${subpath}').then(() => 'imported', ${refusal});
      const other = await import('leasehold/${subpath === 'prometheus' ? 'opentelemetry' : 'prometheus'}');
      const { createPool } = await import('leasehold');
      const pool = createPool('app.db');
      await pool.run('CREATE TABLE item (name TEXT)');
      const rows = await pool.all('SELECT * FROM item');
      await pool.close();
      console.log(JSON.stringify([error, [Object.keys(other), rows]]));`,
    )) as [{ code: string; message: string }, unknown];
    t.is(error.code, 'ERR_MODULE_NOT_FOUND');
    t.true(error.message.includes(`'${peer}'`), error.message);
    t.true(error.message.includes(`telemetry/${subpath}.js`), error.message);
    t.deepEqual(rest, [[subpath === 'prometheus' ? 'instrument' : 'collect'], []]);
  });
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
