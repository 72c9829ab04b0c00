import { setTimeout as sleep } from 'node:timers/promises';
import type { FileState } from '../outside/file-state.ts';
import { commitsBetween, observeFile } from '../outside/observe.ts';
import type { Patience } from './finding.ts';

const looks = 10;
const interval = 100;

/**
 * What one sees at a single look is as a rule a transaction like any other: only what does not go away is told of.
 *
 * @param observe one look
 */
export async function look(
  path: string,
  signal: AbortSignal,
  observe: (path: string) => FileState = observeFile,
): Promise<{ readonly state: FileState; readonly patience: Patience }> {
  const began = performance.now();
  const first = observe(path);
  let state = first;
  let writer = first.locks?.writer;
  let exclusive = first.locks?.exclusive;
  let pins = pinsOf(first);
  let { stranded } = first;
  let length: Patience['length'];
  const isUnclear = () =>
    writer !== undefined ||
    exclusive !== undefined ||
    pins.length > 0 ||
    stranded.length > 0 ||
    (lengthOf(state) !== undefined && length === undefined);
  for (let count = 0; count < looks && isUnclear(); count++) {
    try {
      await sleep(interval, undefined, { signal });
    } catch {
      break;
    }
    const before = state;
    state = observe(path);
    // The same process, and no commit since: as far as can be seen the same transaction.
    if (state.locks?.writer !== writer || commitsBetween(first, state) !== 0) writer = undefined;
    if (state.locks?.exclusive !== exclusive) exclusive = undefined;
    const present = pinsOf(state);
    pins = pins.filter((pid) => present.includes(pid));
    const { stranded: remaining } = state;
    stranded = stranded.filter((one) => remaining.some(({ pid, how }) => pid === one.pid && how === one.how));
    length = lastingLength(before, state);
  }
  return { state, patience: { looked: performance.now() - began, writer, exclusive, pins, stranded, length } };
}

function pinsOf(state: FileState): number[] {
  return [...new Set(state.locks?.readers.filter((reader) => reader.pins).map(({ pid }) => pid))];
}

/**
 * Who commits writes the header first and the other pages after it, and that he did so may not show in what is read later. The next
 * look finds either all of the pages, or another header.
 */
function lastingLength(before: FileState, after: FileState): Patience['length'] {
  const found = lengthOf(after);
  const isSame =
    before.header?.changeCounter === after.header?.changeCounter && before.header?.pages === after.header?.pages;
  return isSame && found === lengthOf(before) ? found : undefined;
}

/** What is wrong with the length of a file at one look. */
function lengthOf({ size = 0, header, wal, index, journal }: FileState): Patience['length'] {
  if (header === undefined || size === 0) return undefined;
  const isCopied =
    wal === undefined || wal.frames === 0 || (index?.valid === true && index.frames === index.backfilled);
  // Else what is missing may be in the log, or the journal take back what the header says.
  const isSettled = journal?.hasHead !== true && isCopied;
  if (isSettled && header.pages * header.pageSize > size) return 'short';
  return size % header.pageSize === 0 ? undefined : 'ragged';
}
