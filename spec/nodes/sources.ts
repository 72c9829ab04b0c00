import { execFile } from 'node:child_process';
import { cpSync, globSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { UsageError } from '../../bench/support/bench.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Every file of specs, relative to the checkout, with slashes. */
export function specFiles(): string[] {
  return globSync('spec/**/*.spec.ts', { cwd: root }).map((file) => file.replaceAll('\\', '/'));
}

/** The checkout, compiled: a directory that looks like one, with all of its TypeScript as JavaScript. */
export async function compile(): Promise<{ readonly root: string; remove(): void }> {
  const directory = mkdtempSync(join(tmpdir(), 'leasehold-nodes-'));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  try {
    const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    const config = join(root, 'spec', 'nodes', 'tsconfig.json');
    await promisify(execFile)(process.execPath, [compiler, '-p', config, '--outDir', directory]);
  } catch (error) {
    remove();
    const { stdout = '', message } = error as { readonly stdout?: string; readonly message: string };
    throw new UsageError(`The specs do not compile: ${(stdout || message).split('\n')[0]}`);
  }
  for (const file of ['package.json', 'README.md', 'CHANGELOG.md']) cpSync(join(root, file), join(directory, file));
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'), 'junction');
  // What is built of lib is lib compiled.
  symlinkSync(join(directory, 'lib'), join(directory, 'dist'), 'junction');
  writeFileSync(join(directory, 'ava.config.js'), "export default { files: ['spec/**/*.spec.js'] };\n");
  return { root: directory, remove };
}

export function compiledName(file: string): string {
  return file.replace(/\.ts$/, '.js');
}
