import { join } from 'node:path';
import { UsageError } from '../../bench/support/bench.ts';
import { binary, environmentFor } from './binaries.ts';
import { type Command, filesOf, readCommand } from './command.ts';
import { type Part, packageRanges, parts } from './parts.ts';
import { compile, compiledName, root } from './sources.ts';
import { type Outcome, runSuite, type Suite } from './suite.ts';
import { formatTable, Progress, type Row } from './table.ts';

const progress = new Progress();

async function runPart(part: Part, command: Command): Promise<Row> {
  const found = await binary(part.range, command.refresh);
  const title = `${part.id} (${found.version})`;
  const files = filesOf(part.id, command.files);
  const environment = environmentFor(found, part.flag);
  progress.say(`${title}: ${part.summary}`);
  const run = (place: string, names: readonly string[], config: string) =>
    follow(title, { node: found.path, root: place, environment, files: names, config });
  if (!part.compiled) return toRow(part.id, found.version, await run(root, files, join('spec', 'ava.config.js')));
  const compiled = await compile();
  try {
    return toRow(part.id, found.version, await run(compiled.root, files.map(compiledName), 'ava.config.js'));
  } finally {
    compiled.remove();
  }
}

/** Packs once, and installs and uses what was packed on each of the versions. */
async function runPackage(command: Command): Promise<Row> {
  const found = await Promise.all(packageRanges.map((range) => binary(range, command.refresh)));
  const versions = found.map(({ version }) => version).join(', ');
  progress.say(`package (${versions}): the packed package, installed and used`);
  const outcome = await follow('package', {
    node: process.execPath,
    root,
    environment: { ...process.env, LEASEHOLD_NODES: JSON.stringify(found.map(({ path }) => path)) },
    files: filesOf('package', command.files),
    config: join('spec', 'package', 'ava.config.js'),
  });
  return toRow('package', versions, outcome);
}

/** Runs a suite, and says what failed when it does. */
async function follow(title: string, suite: Suite): Promise<Outcome> {
  const outcome = await runSuite(suite, {
    onTest: ({ total, failures }) => progress.count(title, total, failures.length),
    onFailure(failure) {
      progress.clear();
      console.log(`not ok: ${title}: ${failure.title}`);
      for (const line of failure.details) console.log(`    ${line}`);
    },
  });
  progress.clear();
  return outcome;
}

function toRow(part: string, version: string, { passed, skipped, failures, duration }: Outcome): Row {
  return { part, version, passed, failed: failures.length, skipped, duration };
}

async function main(): Promise<void> {
  const command = readCommand(process.argv.slice(2));
  if (typeof command === 'string') {
    console.log(command);
    return;
  }
  const rows: Row[] = [];
  for (const id of command.parts) {
    const part = parts.find((each) => each.id === id);
    const row = await (part === undefined ? runPackage(command) : runPart(part, command));
    rows.push(row);
    if (row.failed > 0) process.exitCode = 1;
  }
  console.log(formatTable(rows));
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`test:nodes: ${error.message}`);
  process.exitCode = 2;
}
