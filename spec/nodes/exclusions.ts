import type { Part } from './parts.ts';

/** A file of specs that some parts leave out. All others run everywhere, as a whole. */
interface Exclusion {
  readonly file: string;
  readonly reason: string;
  isFrom(part: Part): boolean;
}

const isCompiled = ({ compiled }: Part): boolean => compiled;

const inBrowser = ['access', 'colours', 'details', 'hostile', 'link', 'live', 'loading'];

export const exclusions: readonly Exclusion[] = [
  ...inBrowser.map((name) => ({
    file: `spec/inspector/browser/${name}.spec.ts`,
    reason: 'looks at the page in a browser, which is the same whatever serves it',
    isFrom: () => true,
  })),
  {
    file: 'spec/architecture.spec.ts',
    reason: 'reads the sources of lib, which are the same on every Node.js',
    isFrom: isCompiled,
  },
  {
    file: 'spec/bench.spec.ts',
    reason: 'starts bench/run.ts, a tool for developers, as TypeScript',
    isFrom: isCompiled,
  },
  {
    file: 'spec/bench-postgres.spec.ts',
    reason: 'starts it, too',
    isFrom: isCompiled,
  },
  {
    file: 'spec/bench-inspector.spec.ts',
    reason: 'starts it, too',
    isFrom: isCompiled,
  },
  {
    file: 'spec/bench-pages.spec.ts',
    reason: 'compares pages of the repository with the results that are kept in it',
    isFrom: isCompiled,
  },
  {
    file: 'spec/bench-pictures.spec.ts',
    reason: 'looks at the pictures that are kept in the repository',
    isFrom: isCompiled,
  },
  {
    file: 'spec/exports.spec.ts',
    reason: 'builds the package from its sources; the package part does so, and installs it on each Node.js',
    isFrom: isCompiled,
  },
  {
    file: 'spec/inspector/page/bundle.spec.ts',
    reason: 'bundles the sources of the page, which is the same text on every Node.js',
    isFrom: isCompiled,
  },
  {
    file: 'spec/inspector/page/colours.spec.ts',
    reason: 'reads the style sheets of the page',
    isFrom: isCompiled,
  },
  {
    file: 'spec/nodes/run.spec.ts',
    reason: 'is about this program, which runs as TypeScript',
    isFrom: isCompiled,
  },
  {
    file: 'spec/package.spec.ts',
    reason: 'packs the checkout; the package part does so, and installs it on each Node.js',
    isFrom: isCompiled,
  },
  {
    file: 'spec/readme.spec.ts',
    reason: 'runs the snippets of the README as TypeScript, with `await using` in them',
    isFrom: isCompiled,
  },
];

/** Whether a part runs this file. */
export function isRunBy(part: Part, file: string): boolean {
  return !exclusions.some((exclusion) => exclusion.file === file && exclusion.isFrom(part));
}
