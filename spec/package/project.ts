import { execFile } from 'node:child_process';
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { npm, root } from './tarball.ts';

/** The programs that use the package, by what each of them imports: the main entry, or a subpath. */
export const programs: readonly string[] = globSync('*.ts', { cwd: join(import.meta.dirname, 'programs') })
  .map((file) => basename(file, '.ts'))
  .filter((name) => name !== 'support')
  .toSorted();

interface Manifest {
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
const types = ['@types/node', '@types/express', '@types/koa', '@types/pg', '@types/pg-cursor'];
const developed = (name: string) => `${name}@${manifest.devDependencies[name]}`;

/** Every peer and its types, in the versions that are developed with. */
export const peers: readonly string[] = [...Object.keys(manifest.peerDependencies), ...types].map(developed);

/** An application of somebody else. */
export interface Project {
  readonly directory: string;
  remove(): void;
}

/** An empty project in which somebody has run `npm install`. */
export async function install(packages: readonly string[]): Promise<Project> {
  const directory = mkdtempSync(join(tmpdir(), 'leasehold-'));
  writeFileSync(join(directory, 'package.json'), '{ "private": true }\n');
  await npm(directory, 'install', '--prefer-offline', '--no-audit', '--no-fund', ...packages);
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

/** Puts the programs into a folder of a project, as modules of a kind, written as its owner would write them. */
export function copyPrograms({ directory }: Project, type: 'module' | 'commonjs'): string {
  const folder = join(directory, type);
  rmSync(folder, { recursive: true, force: true });
  cpSync(join(import.meta.dirname, 'programs'), folder, { recursive: true });
  for (const file of globSync(join(folder, '*.ts'))) {
    const text = readFileSync(file, 'utf8');
    const asInstalled = text.replaceAll(/'\.\.\/\.\.\/\.\.\/lib\/(?:\w+\/)?(\w+)\.ts'/g, (_, name: string) =>
      name === 'index' ? "'leasehold'" : `'leasehold/${name}'`,
    );
    writeFileSync(file, asInstalled);
  }
  writeFileSync(join(folder, 'package.json'), `{ "type": "${type}" }\n`);
  return folder;
}

/** What the compiler says about a folder of programs, nothing where all is well. What it makes of them goes to `built`. */
export async function compile(folder: string, compiler: string, settings: object): Promise<string> {
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    target: 'ES2023',
    lib: ['ES2024', 'ESNext.Disposable'],
    types: ['node'],
    rewriteRelativeImportExtensions: true,
    rootDir: '.',
    outDir: 'built',
    ...settings,
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
  const { code, stdout, stderr } = await run(process.execPath, [compiler, '-p', folder], folder);
  // Where it was ended before its time it has said nothing, as where all is well.
  if (typeof code !== 'number') throw new Error(`The compiler was ended by ${String(code)}. ${stderr}`);
  return stdout + stderr;
}

export interface Ended {
  readonly code: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

// Milliseconds. Shorter than what ava waits for, after which nothing would be said about it.
const longestRun = 150_000;

/** Runs a program to its end, with nothing in its environment that speaks to Node.js. */
export function run(node: string, args: readonly string[], directory: string): Promise<Ended> {
  mkdirSync(directory, { recursive: true });
  const { NODE_OPTIONS: _, ...env } = process.env;
  return new Promise((resolve) => {
    execFile(node, args, { cwd: directory, env, timeout: longestRun }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.signal ?? error.code), stdout, stderr }),
    );
  });
}
