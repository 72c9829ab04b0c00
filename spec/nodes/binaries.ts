import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { UsageError } from '../../bench/support/bench.ts';

const run = promisify(execFile);

/** A real Node.js, as npm has it. */
export interface Binary {
  readonly path: string;
  readonly version: string;
}

// Not the directory for temporary files: there, whoever shares the machine could leave a program for us to run.
const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'leasehold', 'nodes');

/** Finds the Node.js of a version range, and installs it where that was not done before, or is to be done anew. */
export async function binary(range: string, refresh: boolean): Promise<Binary> {
  const directory = join(cache, range);
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const path = join(directory, 'node_modules', 'node', 'bin', name);
  if (refresh) rmSync(directory, { recursive: true, force: true });
  if (!existsSync(path)) await install(directory, `node@${range}`);
  if (!existsSync(path)) throw new UsageError(`npm has installed node@${range}, but left no ${path}.`);
  const { stdout } = await run(path, ['--version']);
  return { path, version: stdout.trim() };
}

async function install(directory: string, specifier: string): Promise<void> {
  mkdirSync(directory, { recursive: true });
  // The package fetches the binary for this machine when it is installed, which npm asks leave for.
  writeFileSync(join(directory, 'package.json'), '{ "private": true, "allowScripts": { "node": true } }\n');
  const args = ['install', specifier, '--no-audit', '--no-fund', '--ignore-scripts=false'];
  const options = { cwd: directory, env: plainEnvironment(), shell: process.platform === 'win32' };
  await run('npm', args, options).catch((error: { readonly stderr?: string; readonly message: string }) => {
    const said = (error.stderr ?? '').split('\n').findLast((line) => /npm error (?!A complete log|code)\S/.test(line));
    throw new UsageError(`npm could not install ${specifier}: ${said ?? error.message.split('\n')[0]}`);
  });
}

// Of a checkout above this one as well.
const isPinned = (directory: string): boolean => directory.replaceAll('\\', '/').endsWith('/node_modules/.bin');

/** This environment without what `npm run` adds to it: its settings, and the way to the Node.js that is pinned here. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !/^(?:npm_|INIT_CWD$)/i.test(name));
  const environment = Object.fromEntries(entries);
  const directories = (environment['PATH'] ?? '').split(delimiter);
  return { ...environment, PATH: directories.filter((directory) => !isPinned(directory)).join(delimiter) };
}

/** An environment in which `node` is this one, in whatever process, and has the flag. */
export function environmentFor({ path }: Binary, flag: string | undefined): NodeJS.ProcessEnv {
  const environment = plainEnvironment();
  const options = [environment['NODE_OPTIONS'], flag].filter(Boolean).join(' ');
  return {
    ...environment,
    PATH: [dirname(path), environment['PATH']].join(delimiter),
    ...(options === '' ? {} : { NODE_OPTIONS: options }),
  };
}
