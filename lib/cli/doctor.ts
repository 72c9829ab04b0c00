import { resolve } from 'node:path';
import { painter, wantsColours } from './colours.ts';
import { type Command, CommandError, type Io, readArguments, readNumber, UsageError } from './command.ts';
import type { IntegrityLevel } from './doctor/examination.ts';
import { examine } from './doctor/examine.ts';
import type { Facts, LeftLog, Plan } from './doctor/finding.ts';
import { findingsOf } from './doctor/findings.ts';
import { guessAt } from './doctor/guess.ts';
import { readLeftLog } from './doctor/left-log.ts';
import { look } from './doctor/look.ts';
import { planOf } from './doctor/plan.ts';
import { columnsOf, Progress } from './doctor/progress.ts';
import { asJson, asText } from './doctor/report.ts';
import { surroundingsOf } from './doctor/surroundings.ts';
import { exitCodeOf } from './doctor/verdict.ts';
import type { FileState } from './outside/file-state.ts';
import { observeFile } from './outside/observe.ts';

const usage = `Usage: leasehold doctor [options] FILE

Examines a SQLite database file: what it is, how it is written, who has it open,
what is wrong with it, and what to do about that. It never changes the file, and
leaves nothing beside it. Only where the last program that has it open closes it
while this reads it, the log stays that the program would have removed.

  --quick             leave out integrity, foreign keys and the count of pages
  --integrity LEVEL   none; quick: tables and indexes each for itself; full:
                      also one against the other (default: full)
  --timeout MS        wait this long for a lock, in all (default: 5000)
  --in-place          examine the file itself where a copy would be taken
  --json              an array of findings: id, group, state, title, found,
                      why, advice
  --strict            exit code 1 for a note too
  --no-color          also: NO_COLOR=1
  -h, --help          this

States: ok, note (good to know), warning (will hurt), problem (damage).

Where: a database in WAL mode that somebody has open is read as any reader
does, one transaction a table, and one in which all pages are counted (not with
--quick); the log can not be copied into the file beyond what such a transaction
sees while it lasts. One in WAL mode that nobody has open, one whose transaction
was cut off, and one without a WAL of more than 16 MB are examined in a private
copy in the directory for temporary files (TMPDIR), which takes as much room; in
place commits of others would wait while a table is checked, or pages counted.

Exit code: 0 nothing above a note, 1 warnings, 3 problems, 2 where there is no
database that can be read, where no problem was found and not all could be
examined that was asked for, where the command is wrong, or the report could not
be written, 130 after Ctrl-C.
`;

interface Settings {
  readonly name: string;
  readonly integrity: IntegrityLevel;
  readonly quick: boolean;
  readonly timeout: number;
  readonly inPlace: boolean;
  readonly json: boolean;
  readonly strict: boolean;
  readonly plain: boolean;
}

export const doctor: Command = {
  name: 'doctor',
  summary: 'examine a database file: what is wrong with it, and what to do',
  usage,
  async run(args, io) {
    const settings = read(args);
    try {
      return await diagnose(settings, io);
    } catch (error) {
      // The exit code of any error would say that there are warnings.
      throw new CommandError(error instanceof Error ? error.message : String(error), { exitCode: 2, cause: error });
    }
  },
};

async function diagnose(settings: Settings, io: Io): Promise<number> {
  const facts = await gather(settings, io);
  if (io.signal.aborted) return 130;
  const findings = findingsOf(facts);
  if (settings.json) io.stdout.write(asJson(findings));
  else {
    const width = Math.min(io.stdout.isTTY === true ? columnsOf(io.stdout) : 100, 120);
    const paint = painter(wantsColours(io, io.stdout, settings.plain));
    io.stdout.write(asText(settings.name, findings, width, paint));
  }
  return exitCodeOf(findings, facts, settings.strict);
}

function read(args: readonly string[]): Settings {
  const { options, positionals } = readArguments(args, {
    quick: { type: 'boolean' },
    integrity: { type: 'string' },
    timeout: { type: 'string' },
    'in-place': { type: 'boolean' },
    json: { type: 'boolean' },
    strict: { type: 'boolean' },
    'no-color': { type: 'boolean' },
  });
  const [name, ...others] = positionals;
  if (name === undefined || name === '') throw new UsageError('Which file? leasehold doctor FILE');
  if (others.length > 0) throw new UsageError('One file at a time: leasehold doctor FILE');
  const { integrity, quick = false } = options;
  if (integrity !== undefined && !isLevel(integrity)) {
    throw new UsageError(`--integrity is none, quick or full, not ${JSON.stringify(integrity)}.`);
  }
  if (quick && integrity !== undefined && integrity !== 'none') {
    throw new UsageError(`--quick leaves out integrity: not together with --integrity ${integrity}.`);
  }
  return {
    name,
    quick,
    integrity: quick ? 'none' : (integrity ?? 'full'),
    timeout: readNumber('timeout', options.timeout ?? '5000', { least: 0, most: 3_600_000 }),
    inPlace: options['in-place'] ?? false,
    json: options.json ?? false,
    strict: options.strict ?? false,
    plain: options['no-color'] ?? false,
  };
}

function isLevel(value: string): value is IntegrityLevel {
  return ['none', 'quick', 'full'].includes(value);
}

// The last process to have the file open may close it between a look and the examination: then another one is to be planned.
const mostPlans = 4;

async function gather(settings: Settings, io: Io): Promise<Facts> {
  for (let plans = 1; ; plans++) {
    const facts = await gatherOnce(settings, io);
    const isOutdated = facts.examination?.failures.some(({ during, code }) => during === 'open' && code === 'CHANGED');
    if (isOutdated !== true || plans === mostPlans) return facts;
  }
}

async function gatherOnce(settings: Settings, io: Io): Promise<Facts> {
  const { name, integrity, quick, timeout } = settings;
  // Never a name with a meaning of its own, as `:memory:` has for SQLite.
  const { state, patience } = await look(resolve(name), io.signal);
  // What was seen for a moment while somebody opened or closed it is no reason.
  const plan = planOf({ ...state, stranded: patience.stranded }, settings);
  const facts = {
    // What lies beside the file is not beside a link to it.
    name: state.path === resolve(name) ? name : state.path,
    state,
    patience,
    plan,
    integrity,
    keys: !quick,
    surroundings: state.kind === 'file' ? surroundingsOf(state.path) : undefined,
    log: await logOf(state, plan, io.signal),
    guess: state.content === 'other' ? guessAt(state.path) : undefined,
  };
  if (plan.where === 'nowhere' || io.signal.aborted) return { ...facts, examination: undefined, left: undefined };
  const progress = new Progress(io.stderr, io.env);
  try {
    const { where, needsLog = false } = plan;
    const job = { path: state.path, where, needsLog, timeout, integrity, keys: !quick, pages: !quick };
    const examination = await examine(job, (step) => progress.tell(step), io.signal);
    return { ...facts, examination, left: await leftOf(facts, io.signal) };
  } finally {
    progress.end();
  }
}

function logOf({ path, wal, locks }: FileState, { where }: Plan, signal: AbortSignal): Promise<LeftLog> | undefined {
  if (wal === undefined || where === 'in place' || (locks?.users.length ?? 0) > 0) return undefined;
  return readLeftLog(path, signal);
}

/** Who only reads can not take the log away when it is the last that has the file open. */
function leftOf({ plan, state }: Pick<Facts, 'plan' | 'state'>, signal: AbortSignal): Promise<LeftLog> | undefined {
  if (plan.needsLog !== true) return undefined;
  const { path, wal, locks } = observeFile(state.path);
  return wal === undefined || locks === undefined || locks.users.length > 0 ? undefined : readLeftLog(path, signal);
}
