import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { benches } from './benches.ts';
import { keep, tablesOf, writePages } from './pages.ts';
import { type Bench, UsageError } from './support/bench.ts';
import { Progress } from './support/progress.ts';
import { type Result, resultText } from './support/result.ts';

const usage = `Usage: npm run bench -- <bench> [options]
       npm run bench -- charts

Benches:
${Object.entries(benches)
  .map(([name, { summary }]) => `  ${name.padEnd(12)} ${summary}`)
  .join('\n')}

A run prints its tables. Without options it also keeps what it found in bench/results/<bench>.json and makes the charts
and tables of the pages anew, which charts does without running anything. With options it keeps nothing.

Options:
  --rounds N     rounds that count; 15 unless said, for contention 5, inspector 30, express and postgres 100. Long rows of lease take a part of them
  --quick        a few seconds; shows that it runs, the figures mean nothing
  --only TEXT    only rows with TEXT in their name
  --json FILE    write everything, with the figure of each round, to FILE, and not to bench/results
  --help         this text

A bar that is not met is reported, and does not change the exit code.`;

/** A run of a bench. */
interface Run {
  readonly load: () => Promise<Bench>;
  readonly rounds: number | undefined;
  readonly quick: boolean;
  readonly only: string | undefined;
  readonly json: string | undefined;
}

const charts = 'charts';

/** What was asked for: a run, the charts, or the help. */
function readCommand(args: string[]): Run | 'charts' | 'help' {
  const { values, positionals } = parse(args);
  if (values.help) return 'help';
  const [name, ...more] = positionals;
  const known = `There is ${Object.keys(benches).join(', ')}.`;
  if (name === undefined) throw new UsageError(`Which bench? ${known}`);
  if (more.length > 0) throw new UsageError(`One bench at a time: "${more.join(' ')}" is too much.`);
  if (name === charts) {
    if (Object.keys(values).length > 0) throw new UsageError('charts runs nothing, so it has no options.');
    return charts;
  }
  const bench = Object.hasOwn(benches, name) ? benches[name] : undefined;
  if (bench === undefined) throw new UsageError(`There is no bench "${name}". ${known}`);
  const { quick = false, only, json } = values;
  return { load: bench.load, rounds: readRounds(values.rounds), quick, only, json };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        rounds: { type: 'string' },
        quick: { type: 'boolean' },
        only: { type: 'string' },
        json: { type: 'string' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // The first sentence says it; the others are about arguments that begin with a dash.
    const [sentence = error.message] = error.message.split(/\.?(?:\n| To )/);
    throw new UsageError(`${sentence}. Options are listed by --help.`);
  }
}

function readRounds(given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  const rounds = Number(given);
  if (Number.isInteger(rounds) && rounds >= 1 && rounds <= 1000) return rounds;
  throw new UsageError(`--rounds must be an integer from 1 to 1000, not "${given}".`);
}

async function main(): Promise<void> {
  const command = readCommand(process.argv.slice(2));
  if (command === 'help') console.log(usage);
  else if (command === 'charts') tellChanges();
  else await run(command);
}

async function run({ load, json, ...settings }: Run): Promise<void> {
  if (globalThis.gc === undefined) throw new UsageError('The collector must be at hand: run node with --expose-gc.');
  const bench = await load();
  const measured = await bench({ ...settings, progress: new Progress() });
  const found: Result = { ...measured, machine: { ...measured.machine, loadAfter: loadavg()[0] ?? 0 } };
  // Printed is what is kept, with no more digits than that.
  const text = resultText(found);
  const result = JSON.parse(text) as Result;
  console.log(tablesOf(result));
  const { rounds, quick, only } = settings;
  if (quick) console.log('\nA quick run: everything is too small for the figures to mean anything.');
  if (json !== undefined) {
    writeFileSync(json, text);
  } else if (quick || only !== undefined || rounds !== undefined) {
    console.error('Nothing is kept of a run with options; --json FILE writes what it found.');
  } else {
    keep(result);
    tellChanges();
  }
}

function tellChanges(): void {
  const changed = writePages();
  console.error(
    changed.length === 0 ? 'All charts and tables are as they should be.' : `Written: ${changed.join(', ')}`,
  );
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 2;
}
