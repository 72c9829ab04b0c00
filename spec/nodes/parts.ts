/** A Node.js to run the specs on, and how. */
export interface Part {
  /** What it is called by `--only` and in the table. */
  readonly id: string;
  readonly summary: string;
  /** Which version of the npm package `node`. */
  readonly range: string;
  /** Also for every process and thread that a spec starts. */
  readonly flag: string | undefined;
  /** Whether TypeScript is compiled first: before Node 24 there is no `await using`, which specs are written with. */
  readonly compiled: boolean;
  /** Whether it runs unless others are asked for. */
  readonly usual: boolean;
}

const withoutFrame = '--no-async-context-frame';

/**
 * `AsyncLocalStorage` has two implementations, and what it does where is all that a scope is made of. On Node 22 it is built
 * on async hooks, since Node 24 on a frame that V8 carries along. Each of them can be told to use the other one.
 */
export const parts: readonly Part[] = [
  {
    id: '22',
    summary: 'the oldest major that is supported',
    range: '22',
    flag: undefined,
    compiled: true,
    usual: true,
  },
  { id: '24', summary: 'the one that is developed on', range: '24', flag: undefined, compiled: false, usual: true },
  {
    id: '24-no-frame',
    summary: `the same with ${withoutFrame}: AsyncLocalStorage by async hooks`,
    range: '24',
    flag: withoutFrame,
    compiled: false,
    usual: true,
  },
  { id: '26', summary: 'the newest major', range: '26', flag: undefined, compiled: false, usual: true },
  {
    id: '22.20',
    summary: 'the very oldest that "engines" allows',
    range: '22.20.0',
    flag: undefined,
    compiled: true,
    usual: false,
  },
  {
    id: '22-frame',
    summary: 'AsyncLocalStorage by a frame where that was still an experiment',
    range: '22',
    flag: '--experimental-async-context-frame',
    compiled: true,
    usual: false,
  },
  {
    id: '26-no-frame',
    summary: `the newest with ${withoutFrame}`,
    range: '26',
    flag: withoutFrame,
    compiled: false,
    usual: false,
  },
];

/** Of which versions the packed package is used, beside an older one that must be refused. */
export const packageRanges: readonly string[] = ['22', '24', '26'];
