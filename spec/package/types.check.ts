import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { compile, copyPrograms, install, type Project, peers } from './project.ts';
import { pack, type Tarball } from './tarball.ts';

/** Compilers that people have: the one that is developed with, and the last of those that are written in JavaScript. */
const compilers = ['7', '5.9'] as const;

const settings = {
  nodenext: { module: 'nodenext' },
  bundler: { module: 'preserve', moduleResolution: 'bundler' },
} as const;

const cases = [
  ['7', 'nodenext'],
  ['7', 'bundler'],
  ['5.9', 'nodenext'],
] as const satisfies readonly (readonly [(typeof compilers)[number], keyof typeof settings])[];

let tarball: Tarball;
let project: Project;

test.before(async () => {
  tarball = await pack();
  const aliases = compilers.map((version) => `compiler-${version}@npm:typescript@${version}`);
  project = await install([tarball.path, ...peers, ...aliases]);
});

test.after.always(() => {
  for (const made of [tarball, project]) made?.remove();
});

/** Messages without those about declarations of other packages: how well they are typed is not for us to say. */
function ownMessages(text: string): string[] {
  const messages = text.split('\n').filter((line) => /error TS\d+/.test(line));
  return messages.filter((line) => !/node_modules[\\/](?!leasehold[\\/])/.test(line.split('(')[0] ?? ''));
}

/** What a compiler finds in the programs, and whether it has looked. */
async function check(version: string, mode: keyof typeof settings, folder: string): Promise<string[]> {
  const compiler = join(project.directory, 'node_modules', `compiler-${version}`, 'bin', 'tsc');
  return ownMessages(await compile(folder, compiler, settings[mode]));
}

/** One that is wrong, so that nobody takes silence for assent. */
const mistaken = "import { createPool } from 'leasehold';\ncreatePool('app.db', { mox: 1 });\n";

for (const [version, mode] of cases) {
  test.serial(`programs on each subpath compile with TypeScript ${version}, ${mode}, every check on`, async (t) => {
    const folder = copyPrograms(project, 'module');
    writeFileSync(join(folder, 'mistaken.ts'), mistaken);
    const [found = '', ...others] = await check(version, mode, folder);
    t.regex(found, /^mistaken\.ts.*'mox'/);
    t.deepEqual(others, []);
  });
}

test.serial('CommonJS programs compile likewise', async (t) => {
  const folder = copyPrograms(project, 'commonjs');
  rmSync(join(folder, 'drizzle.ts'));
  t.deepEqual(await check('7', 'nodenext', folder), []);
});

// Drizzle has declarations of its own for `require`, with classes that are not those of its declarations for `import`, and
// an ES module like leasehold/drizzle has the latter. At run time they do work together.
test.serial.failing('a CommonJS program with tables of Drizzle compiles', async (t) => {
  const folder = copyPrograms(project, 'commonjs');
  t.deepEqual(await check('7', 'nodenext', folder), []);
});
