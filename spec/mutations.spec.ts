import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { Copy, changesOf } from './mutations/copy.ts';
import { type Mutation, mutations } from './mutations/list.ts';
import { temporaryDirectory } from './support/files.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
// Compiled specs lie a level deeper, beside no sources that could be broken.
const ifSource = existsSync(join(root, 'tsconfig.build.json')) ? test : test.skip;

ifSource('every mutation still applies to the library, and makes TypeScript of it', async (t) => {
  const { stdout } = await run(process.execPath, ['spec/mutations/run.ts', '--check'], { cwd: root });
  t.is(stdout, `${mutations.length} mutations apply.\n`);
});

ifSource('every mutation says what users would see of it, and which specs there are to catch it', (t) => {
  t.true(mutations.length >= 10);
  t.is(new Set(mutations.map(({ name }) => name)).size, mutations.length);
  for (const { name, harm, specs } of mutations) {
    t.regex(harm, /\.$/, name);
    t.true(specs.length > 0, name);
    for (const spec of specs) t.true(existsSync(join(root, spec)), spec);
  }
});

/** A mutation of a file that a test makes. */
function mutationOf(find: string): Mutation {
  return { name: 'a mutation', edits: [{ file: 'a.ts', find, replace: '' }], harm: 'None.', specs: [] };
}

function treeWith(t: ExecutionContext, text: string): string {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, 'a.ts'), text);
  return directory;
}

ifSource('a mutation whose text is not there, or stands there twice, no longer applies', (t) => {
  const tree = treeWith(t, 'one two two');
  t.deepEqual(changesOf(mutationOf('one '), 7, tree), [{ file: 'a.ts', before: 'one two two', after: 'two two' }]);
  for (const [find, reason] of [
    ['three', 'is not there'],
    ['two', 'stands there 2 times'],
  ] as const) {
    const message = new RegExp(`^mutation 7 no longer applies: update it\\. In a\\.ts its text ${reason}`);
    t.throws(() => changesOf(mutationOf(find), 7, tree), { message });
  }
  const gone: Mutation = { ...mutationOf('one'), edits: [{ file: 'gone.ts', find: 'one', replace: '' }] };
  t.throws(() => changesOf(gone, 7, tree), { message: /^mutation 7 no longer applies: update it\. In gone\.ts/ });
});

ifSource('a copy is broken and mended again, and the checkout stays as it is', (t) => {
  const file = (mutations[0] as Mutation).edits[0]?.file as string;
  const before = readFileSync(join(root, file), 'utf8');
  const copy = new Copy(root);
  t.teardown(() => copy.remove());
  const read = () => readFileSync(join(copy.root, file), 'utf8');
  t.true(copy.root.startsWith(realpathSync(tmpdir())));
  t.is(read(), before);
  const mend = copy.apply(mutations[0] as Mutation, 1);
  t.not(read(), before);
  t.is(readFileSync(join(root, file), 'utf8'), before);
  mend();
  t.is(read(), before);
});

ifSource('a mutation is applied to nothing outside of a temporary copy, a link there included', (t) => {
  // Beside the sources, as what a link in the copy might lead to.
  const outside = mkdtempSync(join(root, '.readme-'));
  t.teardown(() => rmSync(outside, { recursive: true, force: true }));
  writeFileSync(join(outside, 'a.ts'), 'one');
  const copy = new Copy(root);
  t.teardown(() => copy.remove());
  symlinkSync(join(outside, 'a.ts'), join(copy.root, 'a.ts'));
  t.throws(() => copy.apply(mutationOf('one'), 1), { message: /is not in a temporary copy: it stays as it is$/ });
  t.is(readFileSync(join(outside, 'a.ts'), 'utf8'), 'one');
});

for (const [args, message] of [
  [['--only', '99'], /^--only is "99": there are mutations 1 to \d+\.$/m],
  [['--onyl', '1'], /'--onyl'/],
] as const) {
  ifSource(`${args.join(' ')} is refused with a sentence`, async (t) => {
    const running = run(process.execPath, ['spec/mutations/run.ts', ...args], { cwd: root });
    const { code, stderr } = await running.then(
      () => t.fail('It should have failed'),
      (error: { readonly code: number; readonly stderr: string }) => error,
    );
    t.is(code, 2);
    t.regex(stderr, message);
    t.notRegex(stderr, /\n\s+at /);
  });
}
