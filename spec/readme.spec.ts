import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { postgresUrl } from './support/postgres.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const snippets = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code ?? '');

/** What a snippet says it prints: everything behind an arrow in a comment, in order. */
function promised(code: string): string[] {
  return [...code.matchAll(/\/\/ (→.*)$/gm)]
    .flatMap(([, line]) => (line ?? '').split('→').slice(1))
    .map((text) => text.trim());
}

// Inside the package, so that 'leasehold' means this one, as built.
const directory = mkdtempSync(join(root, '.readme-'));
test.after.always(() => rmSync(directory, { recursive: true, force: true }));

for (const [index, code] of snippets.entries()) {
  test(`snippet ${index + 1} of the README runs and prints what it says`, async (t) => {
    const file = join(directory, `snippet-${index + 1}.ts`);
    writeFileSync(file, code);
    const env = code.includes('DATABASE_URL') ? { ...process.env, DATABASE_URL: await postgresUrl(t) } : process.env;
    const { stdout, stderr } = await run(process.execPath, [file], { cwd: directory, env, timeout: 50_000 });
    t.is(stderr, '');
    t.deepEqual(stdout.trim().split('\n').filter(Boolean), promised(code));
  });
}

test('the README has snippets, and each says what it prints', (t) => {
  t.true(snippets.length >= 5);
  for (const code of snippets) t.true(promised(code).length > 0);
});

test('the snippets of the README are correctly typed', async (t) => {
  const typed = join(directory, 'types');
  mkdirSync(typed);
  for (const [index, code] of snippets.entries()) writeFileSync(join(typed, `snippet-${index + 1}.ts`), code);
  writeFileSync(
    join(typed, 'tsconfig.json'),
    JSON.stringify({ extends: join(root, 'tsconfig.json'), include: ['./*.ts'] }),
  );
  await t.notThrowsAsync(async () => {
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    await run(process.execPath, [tsc, '--noEmit', '--checkers', '1', '-p', typed]).catch(
      (error: { stdout: string }) => {
        throw new Error(error.stdout);
      },
    );
  });
});

test('every file the README leads to is there, and every test it names', (t) => {
  const links = [...readme.matchAll(/\]\((?!https?:|#)([^ )]+)(?: "([^"]+)")?\)/g)];
  t.true(links.length >= 10);
  for (const [, path = '', title] of links) {
    const file = join(root, path.replace(/#.*/, ''));
    t.true(existsSync(file), path);
    if (title !== undefined) t.true(readFileSync(file, 'utf8').includes(title), `${path}: ${title}`);
  }
});

/** With the figures that change from run to run left out. */
function withoutDurations(text: string): string {
  return text.replaceAll(/\d+ ms(?= {3}snap| ago)/g, 'N ms');
}

// Ten of its milliseconds are one of the program: a loop that a busy machine lets come round late by a tenth of a second
// would be what the message explains instead.
const slowTime = `
  import { performance } from 'node:perf_hooks';
  const [{ now }, { setTimeout }] = [performance, globalThis];
  performance.now = () => now.call(performance) / 10;
  globalThis.setTimeout = (callback, delay, ...args) => setTimeout(callback, delay * 10, ...args);`;

test('the timeout that the README explains is what its example prints', async (t) => {
  const preloaded = `data:text/javascript,${encodeURIComponent(slowTime)}`;
  const printed = async () => {
    const { stdout, stderr } = await run(process.execPath, ['--import', preloaded, 'spec/examples/timed-out.ts'], {
      cwd: root,
      timeout: 50_000,
    });
    t.is(stderr, '');
    return stdout;
  };
  let stdout = await printed();
  for (let again = 0; again < 2 && stdout.includes('event loop was blocked'); again++) stdout = await printed();
  const [, shown] = /<!-- timed-out: begin -->\s+```text\n([\s\S]*?)```/.exec(readme) ?? [];
  t.is(`${withoutDurations(shown ?? '')}GET /items: 503\n`, withoutDurations(stdout));
});
