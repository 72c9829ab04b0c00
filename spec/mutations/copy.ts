import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import type { Mutation } from './list.ts';

// What the specs of the list need of the tree.
const parts = ['lib', 'spec', 'package.json', 'ava.config.js', 'tsconfig.json', 'tsconfig.build.json'];

/** The text of each file that a mutation changes, before and after. */
export interface Change {
  readonly file: string;
  readonly before: string;
  readonly after: string;
}

/**
 * What a mutation makes of the files of a tree, which it leaves as they are.
 * @param number of the mutation in the list, from 1
 */
export function changesOf({ edits }: Mutation, number: number, root: string): Change[] {
  const changed = new Map<string, Change>();
  for (const { file, find, replace } of edits) {
    const before = changed.get(file)?.before ?? read(join(root, file));
    const [head, tail, ...more] = (changed.get(file)?.after ?? before).split(find);
    if (head === undefined || tail === undefined || more.length > 0) {
      const found = tail === undefined ? 'is not there' : `stands there ${more.length + 1} times`;
      throw new Error(`mutation ${number} no longer applies: update it. In ${file} its text ${found}:\n${find}`);
    }
    changed.set(file, { file, before, after: head + replace + tail });
  }
  return [...changed.values()];
}

/** A file that has gone has none of the text. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** A copy of the tree, to be broken. */
export class Copy {
  readonly root: string;

  /** @param source the checkout, which is only read */
  constructor(source: string) {
    this.root = realpathSync(mkdtempSync(join(tmpdir(), 'leasehold-mutations-')));
    for (const part of parts) cpSync(join(source, part), join(this.root, part), { recursive: true });
    // One by one, without `.cache`: what the runs leave there is to go with the copy.
    const modules = join(source, 'node_modules');
    mkdirSync(join(this.root, 'node_modules'));
    for (const name of readdirSync(modules).filter((entry) => entry !== '.cache')) {
      symlinkSync(join(modules, name), join(this.root, 'node_modules', name));
    }
  }

  /** Breaks the copy. What is returned mends it. */
  apply(mutation: Mutation, number: number): () => void {
    const changes = changesOf(mutation, number, this.root);
    for (const { file, after } of changes) this.#write(file, after);
    return () => {
      for (const { file, before } of changes) this.#write(file, before);
    };
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  /** Nothing outside of the directory for temporary files is ever written to: not through a link either. */
  #write(file: string, text: string): void {
    const target = realpathSync(join(this.root, file));
    const temporary = realpathSync(tmpdir()) + sep;
    if (!target.startsWith(this.root + sep) || !target.startsWith(temporary)) {
      throw new Error(`${target} is not in a temporary copy: it stays as it is`);
    }
    writeFileSync(target, text);
  }
}
