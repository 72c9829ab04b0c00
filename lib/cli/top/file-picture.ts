import { basename } from 'node:path';
import { formatBytes, formatCount } from '../../wording.ts';
import type { FileLocks, FileProcess, FileState } from '../outside/file-state.ts';
import { visible } from '../text.ts';
import { type Columns, columnsUntil, peaksOf } from './columns.ts';
import { commandOf, type FileHistory, type Look, logBytes } from './file-history.ts';
import { type Part, type Row, valueRow } from './glyphs.ts';
import { shownPeriod } from './history.ts';
import { type Block, fitting, inCells, rowWidth, spaced } from './layout.ts';
import type { ScreenSize } from './screen.ts';
import { clockTime, formatUptime } from './times.ts';

const nameWidth = 9;
const longestChart = 120;

/** What is known of a file from outside, as rows that fit. */
export function filePicture(history: FileHistory, { width, height }: ScreenSize): Row[] {
  const { state } = history;
  return state === undefined ? [] : new FilePicture(state, history.looks, width).rows(height);
}

class FilePicture {
  readonly #state: FileState;
  readonly #looks: readonly Look[];
  readonly #width: number;
  readonly #chart: number;
  readonly #columns: Columns;

  constructor(state: FileState, looks: readonly Look[], width: number) {
    this.#state = state;
    this.#looks = looks;
    this.#width = width;
    const room = width - nameWidth;
    this.#chart = Math.max(4, Math.min(longestChart, room - 44, Math.floor(room * 0.7)), Math.floor(room * 0.35));
    this.#columns = columnsUntil(state.at, shownPeriod, this.#chart);
  }

  rows(height: number): Row[] {
    const space: Block = { rank: 40, rows: [[]] };
    const blocks: Block[] = [{ rank: 0, rows: [this.#title()] }];
    if (this.#state.kind === 'file') {
      blocks.push(
        { rank: 1, rows: [this.#size()] },
        { rank: 3, rows: [this.#commits()] },
        ...this.#log(),
        ...this.#locks(),
        space,
        ...this.#processes(),
      );
    }
    blocks.push(
      space,
      ...this.#state.untold.map((text) => ({ rank: 20, rows: [[{ text: visible(text), style: 'dim' as const }]] })),
    );
    return fitting(blocks, height);
  }

  #row(name: string, chart: Row | undefined, text: Row): Row {
    const cells = [{ row: [{ text: name, style: 'dim' as const }], width: nameWidth }];
    if (chart === undefined) return [...inCells(...cells), ...text];
    return [...inCells(...cells, { row: chart, width: this.#chart }), { text: ' ' }, ...text];
  }

  #title(): Row {
    const { path, at } = this.#state;
    const right: Row = [whatOf(this.#state), { text: ` ${clockTime(at)}` }];
    const left = spaced({ text: visible(basename(path)), style: 'bold' }, { text: visible(path), style: 'dim' });
    return [...inCells({ row: left, width: Math.max(0, this.#width - rowWidth(right) - 1) }), { text: ' ' }, ...right];
  }

  #size(): Row {
    const { size = 0, header, index, modified, wal, at } = this.#state;
    const pages = index?.valid === true ? index.pages : header && (header.pages || Math.floor(size / header.pageSize));
    // In WAL mode a commit is in the log first.
    const changed = Math.max(modified ?? 0, wal?.modified ?? 0);
    return this.#row(
      'size',
      undefined,
      spaced(
        { text: formatBytes(size), style: 'bold' },
        header === undefined || pages === undefined ? undefined : { text: `${pages} pages of ${header.pageSize}` },
        header === undefined || header.freePages === 0 ? undefined : { text: `${header.freePages} free` },
        changed === 0 ? undefined : { text: `changed ${formatUptime(Math.max(0, at - changed))} ago`, style: 'dim' },
      ),
    );
  }

  #commits(): Row {
    const commits = this.#looks.at(-1)?.commits;
    const chart = valueRow(
      peaksOf(this.#looks, this.#columns, (look) => look.commits),
      'green',
    );
    const most = Math.max(0, ...this.#looks.map((look) => look.commits ?? 0));
    const text: Row =
      commits === undefined
        ? [{ text: this.#looks.length < 2 ? 'counted from now on' : 'can not be told', style: 'dim' }]
        : spaced({ text: `${rate(commits)}/s`, style: 'bold' }, { text: `most ${rate(most)}/s`, style: 'dim' });
    return this.#row('commits', chart, text);
  }

  #log(): Block[] {
    const { wal, index, locks, journal } = this.#state;
    if (wal === undefined) {
      if (journal === undefined) return [];
      const isHot = journal.isHot === true;
      const text = `${formatBytes(journal.bytes)}${isHot ? ', HOT: the next one to open the file rolls it back' : ''}`;
      return [{ rank: 2, rows: [this.#row('journal', undefined, [{ text, style: isHot ? 'alarm' : undefined }])] }];
    }
    const log = logBytes(wal, this.#state);
    const chart = valueRow(
      peaksOf(this.#looks, this.#columns, (look) => look.log),
      'blue',
    );
    const left = index?.valid === true ? index.frames - index.backfilled : undefined;
    const text = spaced(
      { text: formatBytes(log), style: 'bold' },
      log === wal.bytes ? undefined : { text: `file ${formatBytes(wal.bytes)}`, style: 'dim' },
      left === undefined || left === 0 ? undefined : { text: `${left} frames to copy` },
    );
    const blocks: Block[] = [{ rank: 2, rows: [this.#row('log', chart, text)] }];
    const pins = locks?.readers.filter((reader) => reader.pins) ?? [];
    for (const [position, { pid, frame }] of pins.entries()) {
      const where = frame === undefined ? '' : ` at frame ${frame}`;
      const said: Row = [{ text: visible(commandOf(this.#state, pid)), style: 'cyan' }, { text: ` reads${where}` }];
      blocks.push({ rank: 4 + position, rows: [this.#row('pinned by', undefined, [{ text: ' ' }, ...said])] });
    }
    return blocks;
  }

  #locks(): Block[] {
    const { locks } = this.#state;
    if (locks === undefined) return [];
    const writes = valueRow(
      peaksOf(this.#looks, this.#columns, ({ isWriting }) => (isWriting === undefined ? undefined : Number(isWriting))),
      'yellow',
    );
    const reads = valueRow(
      peaksOf(this.#looks, this.#columns, (look) => look.readers),
      'green',
      4,
    );
    return [
      { rank: 2.5, rows: [this.#row('writer', writes, this.#writer(locks))] },
      { rank: 3.5, rows: [this.#row('readers', reads, [{ text: String(locks.readers.length), style: 'bold' }])] },
    ];
  }

  #writer({ writer, exclusive, checkpointer, recoverer, blocked }: FileLocks): Row {
    const doing = [
      exclusive === undefined
        ? undefined
        : { text: `${visible(commandOf(this.#state, exclusive))} holds it exclusively`, style: 'yellow' as const },
      writer === undefined ? undefined : { text: visible(commandOf(this.#state, writer)), style: 'yellow' as const },
      checkpointer === undefined ? undefined : { text: `${checkpointer} checkpoints` },
      recoverer === undefined ? undefined : { text: `${recoverer} recovers`, style: 'alarm' as const },
      blocked.length === 0 ? undefined : { text: `${blocked.length} blocked`, style: 'alarm' as const },
    ].filter((part) => part !== undefined);
    const nobody = this.#state.isConfined ? 'nobody that can be seen' : 'nobody';
    return doing.length === 0 ? [{ text: nobody, style: 'dim' }] : spaced(...doing);
  }

  #processes(): Block[] {
    const { processes } = this.#state;
    if (processes === undefined) return [];
    if (processes.length === 0) {
      return [
        {
          rank: 5,
          rows: [
            [
              { text: 'OPEN IN NO PROCESS', style: 'bold' },
              { text: ' that can be seen', style: 'dim' },
            ],
          ],
        },
      ];
    }
    const [first = [], ...others] = processes.map((process) => this.#process(process));
    const count = processes.length === 1 ? '1 PROCESS' : `${processes.length} PROCESSES`;
    return [
      { rank: 5, rows: [[{ text: `OPEN IN ${count}`, style: 'bold' }], first] },
      ...others.map((row, position) => ({ rank: 6 + position, rows: [row] })),
    ];
  }

  #process({ pid, command, started, descriptors, canWrite }: FileProcess): Row {
    const { locks, at } = this.#state;
    const reads = locks?.readers.filter((reader) => reader.pid === pid).length ?? 0;
    const role = [
      locks?.writer === pid ? 'writes' : undefined,
      reads > 0 ? 'reads' : undefined,
      locks?.checkpointer === pid ? 'checkpoints' : undefined,
    ].filter((part) => part !== undefined);
    return spaced(
      inCells({ row: [{ text: String(pid) }], width: 8, right: true }),
      inCells({ row: [{ text: role.join(', ') || 'idle', style: role.length > 0 ? 'yellow' : 'dim' }], width: 13 }),
      inCells({
        row: [{ text: started === undefined ? '' : formatUptime(Math.max(0, at - started)), style: 'dim' }],
        width: 9,
      }),
      { text: visible(command), style: 'cyan' },
      { text: canWrite === false ? 'read only' : formatCount(descriptors, 'descriptor'), style: 'dim' },
    );
  }
}

/** What it is, in a word or two: a file may change into something else while it is looked at. */
function whatOf({ kind, content, header }: FileState): Part {
  if (kind !== 'file') return { text: kind.toUpperCase(), style: 'alarm' };
  if (header !== undefined) return { text: journals[header.journal], style: 'green' };
  if (content === 'empty') return { text: 'empty', style: 'green' };
  return { text: content === undefined ? 'UNREAD' : content === 'other' ? 'NO DATABASE' : 'DAMAGED', style: 'alarm' };
}

const journals = { wal: 'WAL', rollback: 'rollback journal', unknown: 'unknown journal' } as const;

function rate(commits: number): string {
  return commits >= 10 ? String(Math.round(commits)) : String(Number(commits.toFixed(1)));
}
