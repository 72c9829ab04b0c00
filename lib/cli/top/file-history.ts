import type { FileState, WalState } from '../outside/file-state.ts';
import { commitsBetween } from '../outside/observe.ts';
import { shownPeriod } from './history.ts';

/** What one look at a file came to, beside the one before. */
export interface Look {
  readonly at: number;
  /** A second; `undefined` where it can not be told. */
  readonly commits: number | undefined;
  /** Bytes of the write-ahead log that count: those of a former round are left out. */
  readonly log: number | undefined;
  readonly isWriting: boolean | undefined;
  readonly readers: number | undefined;
}

/** Looks at one file, those of the last minute. */
export class FileHistory {
  #state: FileState | undefined;
  #looks: Look[] = [];

  add(state: FileState): void {
    const before = this.#state;
    this.#state = state;
    const commits = before === undefined ? undefined : commitsBetween(before, state);
    const passed = before === undefined ? 0 : state.at - before.at;
    this.#looks.push({
      at: state.at,
      commits: commits === undefined || passed <= 0 ? undefined : (commits * 1000) / passed,
      log: state.wal && logBytes(state.wal, state),
      isWriting:
        state.locks === undefined || state.locks.exclusive !== undefined ? undefined : state.locks.writer !== undefined,
      readers: state.locks?.readers.length,
    });
    this.#looks = this.#looks.filter(({ at }) => at > state.at - 2 * shownPeriod);
  }

  get state(): FileState | undefined {
    return this.#state;
  }

  get last(): Look | undefined {
    return this.#looks.at(-1);
  }

  /** Oldest first. */
  get looks(): readonly Look[] {
    return this.#looks;
  }
}

/** Bytes of the log that count. A frame is a page and 24 bytes; the log begins with 32. */
export function logBytes(wal: WalState, { index, header }: FileState): number {
  const pageSize = wal.pageSize ?? header?.pageSize;
  if (index?.valid !== true || pageSize === undefined) return wal.bytes;
  return index.frames === 0 ? 0 : 32 + index.frames * (pageSize + 24);
}

/** What a process was started as, and its number. */
export function commandOf({ processes }: FileState, pid: number): string {
  const command = processes?.find((process) => process.pid === pid)?.command;
  return command === undefined ? `pid ${pid}` : `${command} (${pid})`;
}
