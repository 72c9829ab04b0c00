import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A Node.js to use the package with. */
export interface Node {
  readonly path: string;
  readonly version: string;
}

const nodeAt = (path: string): Node => {
  const { NODE_OPTIONS: _, ...env } = process.env;
  return { path, version: execFileSync(path, ['--version'], { encoding: 'utf8', env }).trim() };
};

/** Those that `npm run test:nodes` has installed; this one alone where it was not that which runs this. */
export const nodes: readonly Node[] = (
  JSON.parse(process.env['LEASEHOLD_NODES'] ?? JSON.stringify([process.execPath])) as string[]
).map(nodeAt);

/** One of the machine that the package must refuse, if there is any. */
export const oldNode: Node | undefined = (process.env['PATH'] ?? '')
  .split(delimiter)
  .map((directory) => join(directory, process.platform === 'win32' ? 'node.exe' : 'node'))
  .filter(existsSync)
  .map(nodeAt)
  .find(({ version }) => /^v(?:18|20|21)\./.test(version));
