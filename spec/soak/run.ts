import { existsSync, writeFileSync } from 'node:fs';
import { runSeeded, UsageError } from '../support/tool.ts';
import { ThreadClock } from './loop-watch.ts';
import { readOptions, replayOf, type SoakOptions, usage } from './options.ts';
import { Progress, Summary } from './progress.ts';
import { Soak } from './soak.ts';

/** Runs a soak and says what came of it. The exit code. */
async function run(options: SoakOptions): Promise<number> {
  if (options.file !== undefined && existsSync(options.file))
    throw new UsageError(`--file ${options.file} exists already; a soak begins with a database of its own.`);
  const { seed, processes, seconds, killEvery, json } = options;
  const soak = begin(options);
  const kills = killEvery === 0 ? 'no kills' : `a kill every ${killEvery} s`;
  console.log(`Seed ${seed}: ${processes} processes for ${seconds} s, ${kills}, on ${soak.file}`);
  if (!new ThreadClock().tellsSleep)
    console.log('Here a thread that sleeps can not be told from a busy machine, so long calls are not judged.');
  const summary = new Summary(soak);
  const progress = new Progress(process.stdout);
  const end = (): void => soak.end();
  process.once('SIGINT', end).once('SIGTERM', end);
  await soak.run(() => progress.say(() => summary.line()));
  progress.done();
  console.log(`${summary.line()}\n${summary.table()}`);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(summary.json(), undefined, 2)}\n`);
  const { violation } = soak;
  if (violation === undefined) {
    console.log(`All held, with seed ${seed}.`);
    return 0;
  }
  console.log(`VIOLATION of "${violation.invariant}": ${violation.account}`);
  console.log(`Seed ${seed}. The database is left at ${soak.file}. Again: ${replayOf(options)}`);
  return 1;
}

/** @throws UsageError where the database can not be made */
function begin(options: SoakOptions): Soak {
  try {
    return new Soak(options);
  } catch (error) {
    throw new UsageError(`The database can not be made: ${error instanceof Error ? error.message : String(error)}`);
  }
}

await runSeeded(readOptions, usage, run);
