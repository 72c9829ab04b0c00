import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { find, peek } from '../outside/peek.ts';
import { type LogContent, readFrames, walHeaderLength } from '../outside/wal.ts';
import type { LeftLog } from './finding.ts';

const attempts = 5;
// Longer than the clock of a file system stands still.
const interval = 50;

/**
 * What a log holds that nobody is seen to use. Somebody may do so all the same, who can not be seen, or has begun since: then what is
 * half written looks damaged. So damage has to be the same twice, in a log that is the same twice.
 */
export async function readLeftLog(path: string, signal?: AbortSignal): Promise<LeftLog> {
  try {
    let before: Look | undefined;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const look = lookAt(path);
      if (look.content === undefined) break;
      const { lost, hasBadHead } = look.content;
      const isDamaged = lost > 0 || hasBadHead;
      if (isDamaged ? isDeepStrictEqual(before, look) : look.isStill) return look.content;
      before = look;
      await sleep(interval, undefined, { signal });
    }
    return 'changing';
  } catch {
    return 'unread';
  }
}

interface Look {
  readonly content: LogContent | undefined;
  readonly head: Buffer | undefined;
  readonly trace: readonly unknown[];
  /** Whether it was the same before and after it was read. */
  readonly isStill: boolean;
}

function lookAt(path: string): Look {
  const traceOf = () => {
    const found = find(`${path}-wal`);
    return { found, trace: [found?.inode, found?.size, found?.modified] };
  };
  const { found, trace } = traceOf();
  const [head] = found === undefined ? [] : peek(found, [{ at: 0, length: walHeaderLength }]);
  const content = found && readFrames(found);
  return { content, head, trace, isStill: isDeepStrictEqual(traceOf().trace, trace) };
}
