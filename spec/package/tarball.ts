import { execFile } from 'node:child_process';
import { cpSync, globSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { plainEnvironment } from '../nodes/binaries.ts';

const execute = promisify(execFile);
export const root = fileURLToPath(new URL('../..', import.meta.url));

/** What `npm publish` would send. */
export interface Tarball {
  readonly path: string;
  /** Its content, unpacked. */
  readonly directory: string;
  /** Every file in it, with slashes. */
  readonly files: readonly string[];
  remove(): void;
}

export async function npm(directory: string, ...args: string[]): Promise<string> {
  const options = { cwd: directory, env: plainEnvironment(), shell: process.platform === 'win32', maxBuffer: 2 ** 24 };
  const { stdout } = await execute('npm', args, options);
  return stdout;
}

const left = new Set(['node_modules', 'dist', 'coverage', '.git']);

const isPart = (source: string): boolean => !left.has(basename(source)) && !basename(source).startsWith('.readme-');

/** Packs a copy of the checkout with all that lies in it: in the checkout itself, others are reading what is built. */
export async function pack(): Promise<Tarball> {
  const place = mkdtempSync(join(tmpdir(), 'leasehold-'));
  const copy = join(place, 'checkout');
  for (const name of globSync('*', { cwd: root, exclude: (each) => !isPart(each) })) {
    cpSync(join(root, name), join(copy, name), { recursive: true, filter: isPart });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'), 'junction');
  // Builds first, as `npm publish` does.
  await npm(copy, 'pack', '--pack-destination', place);
  const [path = ''] = globSync(join(place, '*.tgz'));
  const unpacked = join(place, 'unpacked');
  mkdirSync(unpacked);
  await execute('tar', ['-xzf', path, '-C', unpacked, '--strip-components=1']);
  const files = globSync('**/*', { cwd: unpacked, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(unpacked.length + 1)
        .replaceAll('\\', '/'),
    );
  return {
    path,
    directory: unpacked,
    files: files.toSorted(),
    remove: () => rmSync(place, { recursive: true, force: true }),
  };
}
