import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import type { Finding } from '../../../lib/cli/doctor/finding.ts';

/** The sources here, the compiled files beside compiled specs. */
export const program = fileURLToPath(new URL(`../../../lib/cli${extname(import.meta.url)}`, import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Run as this user, by root alone. */
  readonly uid?: number;
  /** What it is run by, with the arguments before its own. */
  readonly within?: readonly string[];
}

/** Runs `leasehold doctor` as a person does: a process of its own, its output into pipes. */
export async function runDoctor(
  args: readonly string[],
  { cwd, env, uid, within = [] }: RunOptions = {},
): Promise<Outcome> {
  const [first = '', ...rest] = [...within, process.execPath, program, 'doctor', ...args];
  const child = spawn(first, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd,
    // Ava asks for colours of all its children.
    env: { ...process.env, FORCE_COLOR: undefined, ...env },
    ...(uid !== undefined && { uid, gid: uid }),
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, stdout, stderr };
}

export interface Diagnosis extends Outcome {
  readonly findings: readonly Finding[];
  /** Those of one id. */
  of(id: string): readonly Finding[];
  /** State and text of the only one of an id. */
  one(id: string): Finding;
}

/** Runs it with `--json`. */
export async function diagnose(
  file: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<Diagnosis> {
  const outcome = await runDoctor([file, '--json', ...args], options);
  let findings: readonly Finding[] = [];
  try {
    findings = JSON.parse(outcome.stdout) as Finding[];
  } catch {
    throw new Error(`No findings: ${outcome.code} ${outcome.signal}\n${outcome.stdout}\n${outcome.stderr}`);
  }
  const of = (id: string) => findings.filter((finding) => finding.id === id);
  const one = (id: string) => {
    const [found, ...others] = of(id);
    if (found === undefined || others.length > 0) {
      throw new Error(`${others.length + (found === undefined ? 0 : 1)} findings ${id} among\n${outcome.stdout}`);
    }
    return found;
  };
  return { ...outcome, findings, of, one };
}

/** Makes a database, and closes it: in WAL mode nothing is left beside it. */
export function build(file: string, sql: string, { wal = true } = {}): void {
  const db = new Database(file);
  try {
    db.exec(sql);
    // Last, as the size of pages can not be chosen any more then.
    if (wal) db.pragma('journal_mode = WAL');
  } finally {
    db.close();
  }
}

/** Rows enough for sizes to matter. */
export const manyRows = `
  CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount INTEGER);
  CREATE INDEX item_name ON item (name);
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
  INSERT INTO item SELECT i, 'item ' || i, i % 7 FROM n;`;

/**
 * One whose check takes minutes, and which is made in no time: the condition of its index, which holds for all rows, is slow to try,
 * and is put there when they are written.
 */
export function buildSlow(file: string, { wal, rows = 5000 }: { readonly wal: boolean; readonly rows?: number }): void {
  build(
    file,
    `CREATE TABLE slow (a);
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows}) INSERT INTO slow SELECT i FROM n;
     CREATE INDEX slow_a ON slow (a);`,
    { wal },
  );
  const db = new Database(file);
  db.unsafeMode(true);
  db.pragma('writable_schema = ON');
  db.exec(
    `UPDATE sqlite_schema SET sql = sql || ' WHERE length(hex(zeroblob(20000000 + a))) > 0' WHERE name = 'slow_a'`,
  );
  db.close();
}

/** All that somebody could leave behind, or change, in the directory of a file. Times of access are nobody's business. */
export function traceOf(file: string, { except = [] }: { readonly except?: readonly string[] } = {}): string[] {
  const directory = dirname(file);
  return readdirSync(directory)
    .filter((name) => !except.includes(name))
    .toSorted()
    .map((name) => {
      const path = join(directory, name);
      const { size, mtimeNs, mode, ino, nlink } = statSync(path, { bigint: true });
      const hash = createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 16);
      return `${JSON.stringify(name)} ${size} ${mtimeNs} ${mode} ${ino} ${nlink} ${hash}`;
    });
}

export const isLinux = process.platform === 'linux';

/** Whether the program can be run by a user who may nothing: by root alone, and where such a user gets at Node and at the program. */
export function canBeNobody(uid = 65_534): boolean {
  if (!isLinux || process.getuid?.() !== 0) return false;
  return spawnSync(process.execPath, [program, '--version'], { uid, gid: uid }).status === 0;
}

/** Runs a command where no process can be seen but its own and its children, as in a container. */
export const inContainer = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'] as const;

/** Whether this user may make one: as a rule root alone, and not within another one. */
export function canContain(): boolean {
  const [unshare, ...args] = inContainer;
  return isLinux && spawnSync(unshare, [...args, process.execPath, '--version']).status === 0;
}
