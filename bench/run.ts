import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Bench, UsageError } from './support/bench.ts';
import { writeSection } from './support/markdown.ts';
import { Progress } from './support/progress.ts';

/** Every bench by its name. Only the one that is run is loaded. */
const benches: Readonly<Record<string, { readonly summary: string; load(): Promise<Bench> }>> = {
  lease: {
    summary: 'what a lease costs, beside generic-pool, tarn, lightning-pool and the bare driver',
    load: async () => (await import('./lease/index.ts')).lease,
  },
  contention: {
    summary: 'transactions that await, 64 at once, beside a mutex, generic-pool, Kysely and Knex',
    load: async () => (await import('./contention/index.ts')).contention,
  },
  express: {
    summary: 'what a scope adds to a request of Express that does next to nothing',
    load: async () => (await import('./express/index.ts')).express,
  },
  postgres: {
    summary:
      'what a connection to PostgreSQL costs, beside the pools of pg and of postgres, on the server of DATABASE_URL or one of its own',
    load: async () => (await import('./postgres/index.ts')).postgres,
  },
};

const readme = fileURLToPath(new URL('README.md', import.meta.url));

const usage = `Usage: npm run bench -- <bench> [options]

Benches:
${Object.entries(benches)
  .map(([name, { summary }]) => `  ${name.padEnd(12)} ${summary}`)
  .join('\n')}

Options:
  --rounds N     rounds that count; 15 unless said, for contention 5, for express and postgres 100. Long rows of lease take a part of them
  --quick        a few seconds; shows that it runs, the figures mean nothing
  --only TEXT    only rows with TEXT in their name
  --json FILE    also write everything, with the figure of each round
  --write        also put the tables into bench/README.md; needs all rows
  --help         this text

A bar that is not met is reported, and does not change the exit code.`;

interface Command {
  readonly name: string;
  readonly load: () => Promise<Bench>;
  readonly rounds: number | undefined;
  readonly quick: boolean;
  readonly only: string | undefined;
  readonly json: string | undefined;
  readonly write: boolean;
}

/** What was asked for, `undefined` for the help. */
function readCommand(args: string[]): Command | undefined {
  const { values, positionals } = parse(args);
  if (values.help) return undefined;
  const [name, ...more] = positionals;
  const known = `There is ${Object.keys(benches).join(', ')}.`;
  if (name === undefined) throw new UsageError(`Which bench? ${known}`);
  const bench = Object.hasOwn(benches, name) ? benches[name] : undefined;
  if (bench === undefined) throw new UsageError(`There is no bench "${name}". ${known}`);
  if (more.length > 0) throw new UsageError(`One bench at a time: "${more.join(' ')}" is too much.`);
  const { quick = false, only, json, write = false } = values;
  if (write && (quick || only !== undefined)) throw new UsageError('--write needs a whole run: no --quick, no --only.');
  return { name, load: bench.load, rounds: readRounds(values.rounds), quick, only, json, write };
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
        write: { type: 'boolean' },
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
  if (command === undefined) {
    console.log(usage);
    return;
  }
  if (globalThis.gc === undefined) throw new UsageError('The collector must be at hand: run node with --expose-gc.');
  const { name, load, json, write, ...settings } = command;
  const bench = await load();
  const { markdown, data } = await bench({ ...settings, progress: new Progress() });
  console.log(markdown);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(data, undefined, 2)}\n`);
  if (write) writeSection(readme, name, markdown);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 2;
}
