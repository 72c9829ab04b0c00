import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { formatBytes } from '../../wording.ts';
import { CommandError, type Io } from '../command.ts';
import type { FileLocks, FileState } from '../outside/file-state.ts';
import { observeFile } from '../outside/observe.ts';
import { visible } from '../text.ts';
import { commandOf, FileHistory } from './file-history.ts';
import { filePicture } from './file-picture.ts';
import { jsonLine } from './json.ts';
import { showLive } from './live.ts';
import { shownOnce } from './once.ts';
import type { Settings } from './settings.ts';
import { clockTime } from './times.ts';

const usualInterval = 1000;
const usualLineInterval = 2000;

/** `leasehold top --file <path>`. */
export async function topOfFile(path: string, settings: Settings, io: Io): Promise<number> {
  if (settings.pool !== undefined)
    throw new CommandError('--pool is for an inspector: a file does not tell of pools.', { exitCode: 2 });
  const first = observeFile(path);
  refuse(first, path);
  const history = new FileHistory();
  history.add(first);
  if (settings.once) {
    const text = settings.json ? jsonLine(first) : shownOnce((size) => filePicture(history, size), settings, io);
    io.stdout.write(text);
    return 0;
  }
  const look = (): FileState => {
    const state = observeFile(path);
    history.add(state);
    return state;
  };
  if (settings.json) {
    io.stdout.write(jsonLine(first));
    await every(settings.interval ?? usualInterval, io.signal, () => io.stdout.write(jsonLine(observeFile(path))));
    return 0;
  }
  if (io.stdout.isTTY === true && io.env['TERM'] !== 'dumb') {
    const interval = settings.interval ?? usualInterval;
    return await showLive(
      async (changed, signal) => {
        changed();
        await every(interval, signal, () => {
          look();
          changed();
        });
      },
      {
        paint: settings.paint,
        interval: interval / 2,
        lines: settings.lines,
        picture: (size) => filePicture(history, size),
      },
      io,
    );
  }
  io.stdout.write(lineOf(first, history));
  await every(settings.interval ?? usualLineInterval, io.signal, () => io.stdout.write(lineOf(look(), history)));
  return 0;
}

async function every(interval: number, signal: AbortSignal, act: () => unknown): Promise<void> {
  for (;;) {
    try {
      await delay(interval, undefined, { signal });
    } catch {
      return;
    }
    act();
  }
}

/** A file that is not there may come later. But as a rule its name is misspelt. */
function refuse({ kind, error, content }: FileState, path: string): void {
  const reason = {
    file: content === 'other' ? 'it is not a database of SQLite, or it is encrypted' : undefined,
    missing: 'there is no such file',
    directory: 'it is a directory',
    other: 'it is not a file',
    unreachable: 'it can not be looked at',
  }[kind];
  const unread = reason === undefined && error !== undefined ? 'it can not be read' : reason;
  if (unread === undefined) return;
  throw new CommandError(`${JSON.stringify(path)}: ${unread}${error === undefined ? '' : ` (${error})`}.`);
}

/** In a container, who writes may be outside of it. */
const thatIsSeen = ' that can be seen';

function writerOf(state: FileState, { writer, exclusive }: FileLocks): string {
  if (exclusive !== undefined) return `${visible(commandOf(state, exclusive))} holds it exclusively`;
  if (writer !== undefined) return `${visible(commandOf(state, writer))} writes`;
  return `nobody${state.isConfined ? thatIsSeen : ''} writes`;
}

function lineOf(state: FileState, history: FileHistory): string {
  const { path, kind, size, wal, locks, processes, at } = state;
  const { commits } = history.last ?? {};
  const parts = [
    kind === 'file' ? '' : kind,
    size === undefined ? '' : `size ${formatBytes(size)}`,
    wal === undefined ? '' : `log ${formatBytes(wal.bytes)}`,
    commits === undefined ? '' : `${commits.toFixed(1)} commits/s`,
    locks === undefined ? '' : writerOf(state, locks),
    locks === undefined ? '' : `${locks.readers.length} read`,
    processes === undefined ? '' : `open in ${processes.length}${state.isConfined ? thatIsSeen : ''}`,
  ];
  return `${clockTime(at)} ${visible(basename(path))} ${parts.filter((part) => part !== '').join(', ')}\n`;
}
