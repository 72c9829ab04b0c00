import type { PoolState, Report } from '../../inspector/wire.ts';
import { formatDuration } from '../../wording.ts';
import type { Output } from '../command.ts';
import { visible } from '../text.ts';
import { History, type PoolNote } from './history.ts';
import { clockTime } from './times.ts';

/** One line a pool and period, for a file or a pipe: the figures, and what went wrong since the line before. */
export class Lines {
  readonly #output: Output;
  readonly #history = new History();
  readonly #interval: number;
  /** Of the server: when the last lines were written. */
  #writtenAt = Number.NEGATIVE_INFINITY;
  #server: string | undefined;

  constructor(output: Output, interval: number) {
    this.#output = output;
    this.#interval = interval;
  }

  add(report: Report): void {
    this.#history.add(report);
    const { id, now } = report.server;
    const isFirst = id !== this.#server;
    // Half a tick early is on time.
    if (!isFirst && now < this.#writtenAt + this.#interval - report.server.interval / 2) return;
    const since = isFirst ? Number.POSITIVE_INFINITY : this.#writtenAt;
    this.#server = id;
    this.#writtenAt = now;
    for (const pool of report.pools) this.#output.write(this.#linesOf(pool, now, since));
  }

  end(): void {
    this.#server = undefined;
  }

  #linesOf(pool: PoolState, now: number, since: number): string {
    const notes = this.#history
      .notesOf(pool.id)
      .filter(({ at }) => at > since)
      .toReversed();
    const name = visible(pool.name);
    const figures = `${clockTime(now)} ${name} ${pool.closed ? 'closed' : figuresOf(pool, this.#history)}\n`;
    return notes.map((note) => noteLine(note, name)).join('') + figures;
  }
}

function noteLine({ at, kind, message }: PoolNote, pool: string): string {
  return `${clockTime(at)} ${pool} ${visible(kind)}: ${visible(message.split('\n', 1)[0] ?? '')}\n`;
}

function figuresOf({ id, leased, max, idle, waiting, lane, holders, full }: PoolState, history: History): string {
  const { wait, hold } = history.trendOf(id) ?? {};
  const tick = history.ticks.at(-1);
  const [oldest] = holders;
  const parts = [
    `leased ${leased}/${max}${full ? ' FULL' : ''}`,
    `idle ${idle}`,
    `waiting ${waiting}`,
    lane === undefined ? '' : laneOf(lane),
    oldest === undefined ? '' : `oldest ${formatDuration(oldest.age)} ${quoted(oldest.label)}`,
    wait === undefined || wait.count === 0 ? '' : `wait p95 ${formatDuration(wait.p95)}`,
    hold === undefined || hold.count === 0 ? '' : `hold p95 ${formatDuration(hold.p95)}`,
    tick === undefined ? '' : `loop ${formatDuration(tick.loop.delay)}`,
  ];
  return parts.filter((part) => part !== '').join(', ');
}

function laneOf({ holder, waiting }: NonNullable<PoolState['lane']>): string {
  const queue = waiting === 0 ? '' : `, lane waiting ${waiting}`;
  return holder === undefined
    ? `lane free${queue}`
    : `lane ${formatDuration(holder.age)} ${quoted(holder.label)}${queue}`;
}

function quoted(label: string | undefined): string {
  return label === undefined ? 'no label' : JSON.stringify(visible(label));
}
