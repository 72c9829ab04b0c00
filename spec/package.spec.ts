import { execFile } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import Database from 'better-sqlite3';
import { pack, root, type Tarball } from './package/tarball.ts';
import { temporaryDirectory } from './support/files.ts';

const run = promisify(execFile);

let tarball: Tarball;
test.before(async () => {
  tarball = await pack();
});
test.after.always(() => tarball?.remove());

const read = (file: string) => readFileSync(join(tarball.directory, file), 'utf8');

test('the package is what is built of lib, and what is said about it', (t) => {
  const sources = globSync('**/*.ts', { cwd: join(root, 'lib') }).map((file) => file.replaceAll('\\', '/'));
  // What runs in browsers is in one file of the library as text.
  const compiled = sources.filter((file) => !file.startsWith('inspector/page/'));
  const built = compiled.flatMap((file) => ['.js', '.d.ts'].map((end) => `dist/${file.replace(/\.ts$/, end)}`));
  t.deepEqual(tarball.files, [...built, 'CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'].toSorted());
});

test('no file of the package points at one that is missing', (t) => {
  let count = 0;
  for (const file of tarball.files.filter((name) => name.startsWith('dist/'))) {
    const text = read(file);
    t.notRegex(text, /^\/\/# sourceMappingURL=/m, file);
    t.notRegex(text, /^\/\/\/ *<reference path/m, file);
    for (const [, specifier = ''] of text.matchAll(/(?:\bfrom |^import |\bimport\()['"](\.[^'"]*)['"]/gm)) {
      // The compiler leaves the names of sources in declarations, and finds the declarations of them.
      const name = file.endsWith('.d.ts') ? specifier.replace(/(?<!\.d)\.ts$/, '.d.ts') : specifier;
      const target = join(dirname(file), name).replaceAll('\\', '/');
      t.true(tarball.files.includes(target), `${file}: ${specifier}`);
      count++;
    }
  }
  t.true(count > 100, 'imports are seen');
});

test('every way in leads to a file of the package', (t) => {
  const { exports, bin } = JSON.parse(read('package.json')) as {
    exports: Record<string, string | Record<string, string>>;
    bin: Record<string, string>;
  };
  for (const way of [...Object.values(exports), bin]) {
    for (const file of typeof way === 'string' ? [way] : Object.values(way)) {
      t.true(tarball.files.includes(file.replace('./', '')), file);
    }
  }
});

test('a CommonJS program requires it, and gets the very module that an import gets, without a warning', async (t) => {
  const directory = temporaryDirectory(t);
  const packages = join(directory, 'node_modules');
  mkdirSync(packages);
  cpSync(tarball.directory, join(packages, 'leasehold'), { recursive: true });
  for (const name of ['better-sqlite3', 'p-queue']) symlinkSync(join(root, 'node_modules', name), join(packages, name));
  const program = `
    const { createPool } = require('leasehold');
    (async () => {
      const pool = createPool('app.db');
      await pool.transaction(async (tx) => {
        tx.exec('CREATE TABLE item (name TEXT)');
        await new Promise(setImmediate);
        tx.prepare('INSERT INTO item VALUES (?)').run('kept');
      });
      await pool.close();
      console.log((await import('leasehold')).createPool === createPool);
    })();`;
  writeFileSync(join(directory, 'app.cjs'), program);
  const { stdout, stderr } = await run(process.execPath, ['app.cjs'], { cwd: directory });
  t.deepEqual([stdout, stderr], ['true\n', '']);
  t.false(existsSync(join(directory, 'app.db-wal')));
  const db = new Database(join(directory, 'app.db'), { readonly: true });
  t.teardown(() => void db.close());
  t.deepEqual(db.prepare('SELECT name FROM item').pluck().all(), ['kept']);
});
