import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));

// Prints the code of the error, and whether better-sqlite3 had been evaluated by then.
const program = `
  import { createRequire } from 'node:module';
  const require = createRequire(${JSON.stringify(join(root, 'package.json'))});
  try {
    await import(${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)});
    console.log('imported');
  } catch (error) {
    console.log(error.code, require.cache[require.resolve('better-sqlite3')]?.loaded ?? false, error.message);
  }`;

// An older Node.js refuses to start with a flag that it does not know.
const { NODE_OPTIONS: _, ...plainEnvironment } = process.env;

/** A Node.js of the machine that is older than the package allows. */
function oldNode(): string | undefined {
  const own = join(root, 'node_modules');
  const candidates = (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((directory) => !directory.startsWith(own))
    .map((directory) => join(directory, 'node'));
  return candidates.filter(existsSync).find((node) => {
    const options = { encoding: 'utf8', env: plainEnvironment } as const;
    const major = Number(execFileSync(node, ['-p', 'process.versions.node.split(".")[0]'], options));
    return major >= 18 && major < 22;
  });
}

test('on an older Node.js the import is refused before better-sqlite3 is evaluated', async (t) => {
  const disguise = 'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } });';
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', disguise + program]);
  t.regex(stdout, /^ERR_LEASEHOLD_RUNTIME false Leasehold needs Node\.js 22 or newer/);
});

test('this Node.js is new enough', async (t) => {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program]);
  t.is(stdout.trim(), 'imported');
});

const old = oldNode();
(old === undefined ? test.skip : test)('a real older Node.js gets the same sentence', async (t) => {
  const { stdout } = await run(old as string, ['--input-type=module', '-e', program], {
    env: plainEnvironment,
  });
  t.regex(stdout, /^ERR_LEASEHOLD_RUNTIME false Leasehold needs Node\.js 22 or newer; this is v(?:18|20|21)\./);
});

const urlOf = (file: string) => new URL(`../lib/${file}${extname(import.meta.url)}`, import.meta.url).href;

/** Imports the library in a process that says it is of this version. */
async function importAs(version: string): Promise<string> {
  const source = `
    Object.defineProperty(process, 'versions', { value: { ...process.versions, node: ${JSON.stringify(version)} } });
    import(${JSON.stringify(urlOf('index'))}).then(
      ({ createPool }) => console.log(typeof createPool),
      (error) => console.log(error.code, error.message.split(';')[0]),
    );`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', source]);
  return stdout.trim();
}

for (const [version, outcome] of [
  ['20.20.2', 'ERR_LEASEHOLD_RUNTIME Leasehold needs Node.js 22 or newer'],
  // By the number, not by the text.
  ['8.17.0', 'ERR_LEASEHOLD_RUNTIME Leasehold needs Node.js 22 or newer'],
  ['22.20.0', 'function'],
  ['100.0.0', 'function'],
] as const) {
  test(`on Node.js ${version} the import of the library comes to: ${outcome}`, async (t) => {
    t.is(await importAs(version), outcome);
  });
}
