import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { temporaryDirectory } from '../support/files.ts';
import { runSpecs } from './specs.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const ifSource = existsSync(join(root, 'tsconfig.build.json')) ? test : test.skip;

// What the mutation check takes for caught, and for what reason, on specs of a few lines.
for (const [what, body, kind, title] of [
  ['specs that pass', "test('fine', (t) => t.pass());", 'passed', ''],
  ['a test that fails', "test('the title', (t) => t.is(1, 2, 'words behind it'));", 'failed', 'the title'],
  [
    'an error that nobody catches while tests run',
    "test('fine', (t) => t.pass());\nsetTimeout(() => { throw new Error('uncaught'); }, 50);\n" +
      "test('longer', async (t) => { await new Promise((resolve) => setTimeout(resolve, 10_000)); t.pass(); });",
    'failed',
    'Uncaught exception in a.spec.ts',
  ],
  [
    'a run that does not end in time',
    "test('hangs', async () => { setInterval(() => {}, 1000); await new Promise(() => {}); });",
    'timeout',
    'the run as a whole',
  ],
  ['what is no program', "test('fine', (t) => {", 'broken', 'Uncaught exception in a.spec.ts'],
  ['specs that load nothing', "import './gone.ts';", 'broken', 'Uncaught exception in a.spec.ts'],
] as const) {
  ifSource(`the verdict on ${what} is "${kind}"`, async (t) => {
    const directory = temporaryDirectory(t);
    mkdirSync(join(directory, 'node_modules'));
    for (const name of ['ava', 'better-sqlite3'])
      symlinkSync(join(root, 'node_modules', name), join(directory, 'node_modules', name));
    writeFileSync(join(directory, 'package.json'), '{ "type": "module" }');
    writeFileSync(join(directory, 'ava.config.js'), "export default { extensions: ['ts'], files: ['*.spec.ts'] };");
    writeFileSync(join(directory, 'a.spec.ts'), `import test from 'ava';\n${body}\n`);
    const outcome = await runSpecs(directory, ['a.spec.ts'], kind === 'timeout' ? 4000 : 30_000);
    t.like(outcome, { kind, title }, outcome.output);
  });
}
