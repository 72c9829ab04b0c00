import { stripTypeScriptTypes } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runTool } from '../support/tool.ts';
import { Copy, changesOf } from './copy.ts';
import { type Mutation, mutations } from './list.ts';
import { type Outcome, runSpecs } from './specs.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

const usage = `Usage: npm run mutations -- [options]

Breaks a copy of the library in ${mutations.length} ways, one at a time, and runs the specs that should notice. Ends with 1 if a
fault is not noticed, and with 2 if that could not be found out.

Options:
  --only N    only mutation N; may be given more than once
  --list      what the mutations are, and what users would see of each
  --check     only whether each still applies to the library as it is
  --help      this text`;

// Milliseconds for the specs of one mutation. What hangs is ended by ava's own timeout before that.
const longestRun = 90_000;

interface Numbered {
  readonly number: number;
  readonly mutation: Mutation;
}

function parse(args: string[]) {
  return parseArgs({
    args,
    options: {
      only: { type: 'string', multiple: true },
      list: { type: 'boolean' },
      check: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  }).values;
}

function chosen(only: readonly string[] | undefined): Numbered[] {
  const all = mutations.map((mutation, index) => ({ number: index + 1, mutation }));
  if (only === undefined) return all;
  return only.map((text) => {
    const found = all.find(({ number }) => String(number) === text);
    if (found === undefined) throw new Error(`--only is "${text}": there are mutations 1 to ${all.length}.`);
    return found;
  });
}

function list(each: readonly Numbered[]): void {
  for (const { number, mutation } of each) {
    console.log(`${number}. ${mutation.name} (${mutation.edits.map(({ file }) => file).join(', ')})`);
    console.log(`   ${mutation.harm}`);
  }
}

/** Throws where one does not apply, or makes something that is no TypeScript: which any spec would notice. */
function check(each: readonly Numbered[]): void {
  for (const { number, mutation } of each) {
    for (const { file, after } of changesOf(mutation, number, root)) {
      try {
        stripTypeScriptTypes(after);
      } catch (error) {
        throw new Error(`mutation ${number} makes no TypeScript of ${file}`, { cause: error });
      }
    }
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

const verdicts: Readonly<Record<Outcome['kind'], string>> = {
  passed: 'SURVIVED',
  failed: 'caught',
  timeout: 'caught by a timeout',
  broken: 'NOT TESTED',
};

function show({ number, mutation }: Numbered, { kind, title, took, output }: Outcome): void {
  console.log(`| ${number} | ${mutation.name} | ${verdicts[kind]} | ${title} | ${seconds(took)} |`);
  if (kind === 'passed') console.error(`Mutation ${number} survived. ${mutation.harm}`);
  if (kind === 'broken') console.error(output);
}

/** The exit code. */
async function breakEach(each: readonly Numbered[]): Promise<number> {
  const copy = new Copy(root);
  process.once('exit', () => copy.remove());
  const specs = [...new Set(each.flatMap(({ mutation }) => mutation.specs))];
  const whole = await runSpecs(copy.root, specs, 2 * longestRun);
  if (whole.kind !== 'passed') {
    console.error(whole.output);
    console.error(`The specs fail without any mutation (${whole.title}), so nothing would be shown.`);
    return 2;
  }
  console.log(`${specs.length} spec files pass without a mutation, in ${seconds(whole.took)}.\n`);
  console.log('| | mutation | | test | time |\n|---|---|---|---|---|');
  const kinds = new Set<Outcome['kind']>();
  for (const one of each) {
    const mend = copy.apply(one.mutation, one.number);
    const outcome = await runSpecs(copy.root, one.mutation.specs, longestRun);
    mend();
    kinds.add(outcome.kind);
    show(one, outcome);
  }
  return kinds.has('broken') ? 2 : kinds.has('passed') ? 1 : 0;
}

async function main(args: string[]): Promise<number> {
  const { only, help, list: lists, check: checks } = parse(args);
  if (help) {
    console.log(usage);
    return 0;
  }
  const each = chosen(only);
  if (lists) list(each);
  else {
    check(each);
    if (!checks) return await breakEach(each);
    console.log(`${each.length} mutations apply.`);
  }
  return 0;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
await runTool(main);
