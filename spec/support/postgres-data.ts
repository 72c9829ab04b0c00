import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Binaries, ServerUser } from './postgres-binaries.ts';

const run = promisify(execFile);

/**
 * Makes the data of a new server in `directory`, and says the password of its superuser. The first of all is made by initdb
 * and kept; the others are copies, which take a fifth of the time.
 */
export async function makeData(binaries: Binaries, directory: string): Promise<string> {
  const { cache, user } = binaries;
  const kept = readKept(cache);
  if (kept !== undefined) {
    copyTree(join(cache, 'data'), join(directory, 'data'), user);
    return kept;
  }
  const password = await initialize(binaries, directory);
  keep(binaries, directory, password);
  return password;
}

function readKept(cache: string): string | undefined {
  try {
    return readFileSync(join(cache, 'password'), 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Anybody on the machine can reach the port of a server, and a superuser can run programs: so there is a password that
 * nobody knows. One iteration of its hash is enough, as it cannot be guessed.
 */
async function initialize({ initdb, user }: Binaries, directory: string): Promise<string> {
  const password = randomBytes(18).toString('hex');
  const file = join(directory, 'password');
  writeFileSync(file, password, { mode: 0o600 });
  own(file, user);
  const args = ['-D', join(directory, 'data'), '--username=postgres', `--pwfile=${file}`, '--auth=scram-sha-256'];
  // Small segments of the log: 1 MB to copy in place of 16.
  const form = ['--encoding=UTF8', '--locale=C', '--wal-segsize=1', '-c', 'scram_iterations=1'];
  const options = { cwd: directory, ...user };
  try {
    await run(initdb, [...args, ...form, '--no-sync', '--no-instructions'], options);
  } catch (error) {
    throw new Error('initdb has failed: set DATABASE_URL to the URL of a server.', { cause: error });
  }
  rmSync(file);
  return password;
}

/** Keeps a copy for those to come. All of it appears at once, as others may look for it at this time. */
function keep({ cache }: Binaries, directory: string, password: string): void {
  try {
    mkdirSync(dirname(cache), { recursive: true });
    const staging = mkdtempSync(`${cache}-`);
    try {
      copyTree(join(directory, 'data'), join(staging, 'data'), undefined);
      writeFileSync(join(staging, 'password'), password, { mode: 0o600 });
      renameSync(staging, cache);
    } finally {
      rmSync(staging, { recursive: true, force: true });
    }
  } catch {
    // Another process was faster, or nothing can be written there: the next server takes a second to make, and is the same.
  }
}

/** Copies a directory for the user of a server, but for what is named, relative to `from`, with slashes. */
export function copyTree(
  from: string,
  to: string,
  user: ServerUser | undefined,
  isLeftOut: (name: string) => boolean = () => false,
  prefix = '',
): void {
  mkdirSync(to, { mode: 0o700 });
  own(to, user);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const name = `${prefix}${entry.name}`;
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (isLeftOut(name)) continue;
    if (entry.isDirectory()) copyTree(source, target, user, isLeftOut, `${name}/`);
    else copyFile(source, target, user);
  }
}

function copyFile(source: string, target: string, user: ServerUser | undefined): void {
  try {
    copyFileSync(source, target, constants.COPYFILE_FICLONE);
  } catch (error) {
    // A server that runs deletes files of its data whenever it likes, and can do without them.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  own(target, user);
}

/** Writes a file that only the user of the server can read. */
export function writeOwned(path: string, content: string, user: ServerUser | undefined): void {
  writeFileSync(path, content);
  chmodSync(path, 0o600);
  own(path, user);
}

export function own(path: string, user: ServerUser | undefined): void {
  if (user !== undefined) lchownSync(path, user.uid, user.gid);
}
