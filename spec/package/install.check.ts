import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import Database from 'better-sqlite3';
import { launchServer, type PostgresServer } from '../support/postgres-server.ts';
import { nodes, oldNode } from './nodes.ts';
import { compile, copyPrograms, install, type Project, peers, programs, run } from './project.ts';
import { pack, root, type Tarball } from './tarball.ts';

const kinds = ['module', 'commonjs'] as const;

let tarball: Tarball;
let bare: Project;
let whole: Project;
/** Where none was given, one of its own. */
let server: PostgresServer | undefined;

test.before(async () => {
  if (process.env['DATABASE_URL'] === undefined) {
    server = await launchServer();
    process.env['DATABASE_URL'] = server.url();
  }
  tarball = await pack();
  bare = await install([tarball.path]);
  whole = await install([tarball.path, ...peers]);
  // What they say when they are compiled is the subject of types.check.ts.
  for (const kind of kinds) {
    const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    await compile(copyPrograms(whole, kind), compiler, { module: 'nodenext', noCheck: true });
  }
});

test.after.always(async () => {
  await server?.close();
  for (const made of [tarball, bare, whole]) made?.remove();
});

/** Whether the project without peers has a package. */
const isThere = (name: string): boolean => existsSync(join(bare.directory, 'node_modules', name, 'package.json'));

test('what is installed is the package and what it depends on, and no peer', (t) => {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: object;
    peerDependencies: object;
  };
  t.deepEqual(['leasehold', ...Object.keys(dependencies)].filter(isThere), ['leasehold', ...Object.keys(dependencies)]);
  t.deepEqual(Object.keys(peerDependencies).filter(isThere), []);
});

test('every subpath has its program', (t) => {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: object };
  const ways = Object.keys(exports).filter((way) => way !== '.' && way !== './package.json');
  t.deepEqual([...ways.map((way) => way.slice(2)), 'main'].toSorted(), programs);
});

// One at a time: a dozen programs at once are no test of any of them.
for (const { path, version } of nodes) {
  for (const kind of kinds) {
    for (const name of programs) {
      test.serial(`${name} runs on ${version} as a ${kind} program: kept is kept, undone is undone`, async (t) => {
        const directory = join(whole.directory, kind, `${version}-${name}`);
        const { code, stdout, stderr } = await run(path, [join('..', 'built', `${name}.js`)], directory);
        t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: `done on ${version}\n`, stderr: '' });
        t.false(existsSync(join(directory, 'app.db-wal')), 'the last connection has closed');
        const db = new Database(join(directory, 'app.db'), { readonly: true });
        t.teardown(() => void db.close());
        t.deepEqual(db.prepare('SELECT name FROM visit').pluck().all(), ['kept']);
      });
    }
  }

  test.serial(`TypeScript runs as it is on ${version}, without any peer`, async (t) => {
    const program = [
      "import { createPool, type SqlitePool } from 'leasehold';",
      "const pool: SqlitePool = createPool('app.db');",
      "const found = await pool.get<{ one: number }>('SELECT 1 AS one');",
      'await pool.close();',
      'console.log(found?.one satisfies number | undefined);',
    ];
    const directory = join(bare.directory, `typescript-${version}`);
    mkdirSync(directory);
    writeFileSync(join(directory, 'app.mts'), program.join('\n'));
    const { code, stdout, stderr } = await run(path, ['app.mts'], directory);
    t.is(code, 0, stderr);
    t.is(stdout, '1\n');
  });
}

/** What `npx leasehold` runs. */
const commandLine = join('node_modules', '.bin', 'leasehold');

for (const { path, version } of nodes) {
  test.serial(`the command line runs on ${version}, without any peer`, async (t) => {
    const { directory } = bare;
    const { version: own } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    const told = await run(path, [commandLine, '--version'], directory);
    t.deepEqual(
      { code: told.code, stdout: told.stdout, stderr: told.stderr },
      { code: 0, stdout: `${own}\n`, stderr: '' },
    );
    const file = join(directory, `doctor-${version}.db`);
    const db = new Database(file);
    db.exec('PRAGMA journal_mode = WAL; CREATE TABLE visit (name TEXT)');
    db.close();
    const examined = await run(path, [commandLine, 'doctor', '--json', file], directory);
    t.is(examined.code, 0, examined.stdout + examined.stderr);
    const lost = await run(path, [commandLine, 'top', '--once', 'http://127.0.0.1:1/_pool'], directory);
    t.is(lost.code, 1);
    t.regex(lost.stderr, /^leasehold top: [^\n]+\n$/);
  });
}

const ifOld = oldNode === undefined ? test.skip : test.serial;

ifOld(`the command line refuses ${oldNode?.version ?? 'an older Node.js'} in one line`, async (t) => {
  const { code, stderr } = await run((oldNode as { path: string }).path, [commandLine, '--help'], bare.directory);
  t.is(code, 1);
  t.regex(stderr, /^leasehold: Leasehold needs Node\.js 22 or newer; this is v\d[^\n]*\n$/);
});

const ways = [
  ['import', "import('leasehold')"],
  ['require', "Promise.resolve().then(() => require('leasehold'))"],
] as const;

for (const [how, expression] of ways) {
  ifOld(
    `${oldNode?.version ?? 'an older Node.js'} is refused by ${how} with a sentence, and does not crash`,
    async (t) => {
      const program = `${expression}.then(() => console.log('loaded'), ({ code, message }) => console.log(code, message))`;
      const ended = await run((oldNode as { path: string }).path, ['-e', program], bare.directory);
      t.is(ended.code, 0, ended.stderr);
      t.regex(ended.stdout, /^ERR_LEASEHOLD_RUNTIME Leasehold needs Node\.js 22 or newer; this is v\d/);
    },
  );
}

for (const name of programs) {
  ifOld(`${name} ends on ${oldNode?.version ?? 'an older Node.js'} by that refusal, and leaves no file`, async (t) => {
    const directory = join(whole.directory, 'module', `old-${name}`);
    const { path } = oldNode as { path: string };
    const { code, stderr } = await run(path, [join('..', 'built', `${name}.js`)], directory);
    t.is(code, 1, stderr);
    t.regex(stderr, /ERR_LEASEHOLD_RUNTIME/);
    t.false(existsSync(join(directory, 'app.db')));
  });
}
