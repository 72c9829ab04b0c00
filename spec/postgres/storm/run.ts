import { runSeeded } from '../../support/tool.ts';
import { readOptions, type StormOptions, usage } from './options.ts';
import { Storm } from './storm.ts';

/** Runs a storm and says what came of it. The exit code. */
async function run(options: StormOptions): Promise<number> {
  const { seed, workers, max, seconds, kills, restarts } = options;
  console.log(
    `Seed ${seed}: ${workers} workers on ${max} connections for ${seconds} s, ${kills} kills, ${restarts} restarts`,
  );
  let saying: NodeJS.Timeout | undefined;
  const storm = await Storm.run(options, (begun) => {
    saying = setInterval(() => console.log(lineOf(begun)), 1000);
  }).finally(() => clearInterval(saying));
  console.log(`${lineOf(storm)}\n${summaryOf(storm)}`);
  const { findings } = storm;
  if (findings.count === 0) {
    console.log(`All held, with seed ${seed}.`);
    return 0;
  }
  for (const violation of findings.violations) console.log(`VIOLATION: ${violation}`);
  console.log(`${findings.count} violations, with seed ${seed}.`);
  return 1;
}

function lineOf({ left, tempo, bank, kills, isDown, findings, pool }: Storm): string {
  const { leased, waiting } = pool.stats();
  const parts = [
    `${Math.ceil(left / 1000)} s left`,
    `${tempo.total} operations`,
    `${bank.count('committed')} commits`,
    `${kills} kills`,
    `${leased} leased, ${waiting} waiting`,
    ...(isDown ? ['server down'] : []),
    ...(findings.count > 0 ? [`${findings.count} violations`] : []),
  ];
  return parts.join(' · ');
}

function summaryOf(storm: Storm): string {
  const { bank, findings, kills, latest, longestStall, outages, pool, tempo, options } = storm;
  const { counters } = pool.stats();
  const recoveries = storm.recoveries();
  const stops = outages.map(({ mode, down, pace }, index) => {
    const recovery = recoveries[index];
    const back = recovery === undefined ? 'not seen back' : `back ${Math.round(recovery)} ms after it`;
    return `  stop (${mode}): down ${Math.round(down)} ms, ${Math.round(pace)} operations/s before, ${back}`;
  });
  return [
    `  operations: ${tempo.total}, ${Math.round(tempo.total / options.seconds)}/s`,
    `  transfers: ${bank.count('committed')} committed, ${bank.count('failed')} failed, ${bank.count('unknown')} unknown`,
    `  connections: ${counters.opened} opened, ${kills} killed, ${counters.discarded} discarded, ${counters.openErrors} not opened`,
    ...stops,
    `  latest waiter: ${latest.toFixed(1)} ms after its deadline, beside the event loop's own delay (longest ${longestStall.toFixed(0)} ms)`,
    `  errors: ${findings.summary()}`,
  ].join('\n');
}

await runSeeded(readOptions, usage, run);
