import type { Bar, Holder, PoolState, Quantiles, Waiter } from '../../inspector/wire.ts';
import { formatCount, formatDuration } from '../../wording.ts';
import { visible } from '../text.ts';
import { activityOf, type Columns, columnsUntil, peaksOf } from './columns.ts';
import { activityRow, bar, legend, type Part, type Row, valueRow } from './glyphs.ts';
import { type History, ofPool, shownPeriod } from './history.ts';
import { type Block, inCells, spaced } from './layout.ts';
import { clockTime } from './times.ts';

// Of the column at the left that says what a row is about.
const nameWidth = 9;
const longestChart = 120;

/** Everything of one pool, below its name. */
export function poolBlocks(pool: PoolState, history: History, now: number, width: number): Block[] {
  return new PoolPicture(pool, history, now, width).blocks();
}

/** Where a row stays when there is little room. A row of a list comes after those of `next` others. */
const ranks = {
  leased: 1,
  waiting: 2,
  lane: 3,
  freshNote: 4,
  held: 5,
  waits: 6.5,
  holds: 6.6,
  waiter: 7,
  loop: 7.5,
  longest: 8,
  free: 9,
  counters: 9.5,
  scale: 10,
  note: 12,
  space: 40,
} as const;

const quantiles = ['p50', 'p95', 'p99', 'max'] as const;

/** Counters of what ought not to be, and what is said of them. */
const troubles = [
  ['timeouts', 'timed out'],
  ['refused', 'refused'],
  ['deadlocks', 'in deadlock'],
  ['leaks', 'leaked'],
  ['dirty', 'left dirty'],
  ['openErrors', 'failed to open'],
  ['discarded', 'discarded'],
] as const;

class PoolPicture {
  readonly #pool: PoolState;
  readonly #history: History;
  readonly #width: number;
  readonly #chart: number;
  readonly #columns: Columns;
  readonly #now: number;

  constructor(pool: PoolState, history: History, now: number, width: number) {
    this.#pool = pool;
    this.#history = history;
    this.#width = width;
    this.#now = now;
    // The text to the right of a chart needs about 30 columns, and most of those that are few.
    const room = width - nameWidth;
    this.#chart = Math.max(4, Math.min(longestChart, room - 30, Math.floor(room * 0.7)), Math.floor(room * 0.4));
    this.#columns = columnsUntil(this.#now, shownPeriod, this.#chart);
  }

  blocks(): Block[] {
    if (this.#pool.closed) {
      const row = this.#row('closed', [], [{ text: 'it tells nothing any more', style: 'dim' }]);
      return [{ rank: ranks.leased, rows: [row] }, ...this.#notes()];
    }
    return [
      ...this.#gauges(),
      ...this.#connections(),
      ...this.#durations(),
      ...this.#list('HELD LONGEST', ranks.longest, this.#longest()),
      ...this.#list(`WAITING ${this.#waiting()}`, ranks.waiter, this.#waiters()),
      ...this.#notes(),
    ];
  }

  #row(name: string, chart: Row, text: Row): Row {
    const cells = [{ row: [{ text: name, style: 'dim' as const }], width: nameWidth }];
    if (chart.length === 0) return [...inCells(...cells), ...text];
    return [...inCells(...cells, { row: chart, width: this.#chart }), { text: ' ' }, ...text];
  }

  #waiting(): number {
    return this.#pool.waiting + (this.#pool.lane?.waiting ?? 0);
  }

  #gauges(): Block[] {
    const { leased, max, idle, size, waiting, waiters, id, lane, full: isFull } = this.#pool;
    const { ticks } = this.#history;
    const gauge = bar(max === 0 ? 1 : leased / max, this.#chart, isFull ? 'red' : 'green');
    const state: Row = spaced(
      { text: `${leased}/${max}${isFull ? ' FULL' : ''}`, style: isFull ? 'alarm' : 'bold' },
      { text: `idle ${idle}`, style: 'dim' },
      { text: `open ${size}`, style: 'dim' },
    );
    const peaks = peaksOf(ticks, this.#columns, (tick) => ofPool(tick, id)?.waiting);
    const first = waiters.find((waiter) => waiter.for === 'connection');
    const queue: Row = spaced(
      { text: String(waiting), style: waiting > 0 ? 'alarm' : 'bold' },
      first === undefined ? undefined : { text: `first for ${formatDuration(first.waited)}` },
    );
    const blocks: Block[] = [
      { rank: ranks.leased, rows: [this.#row('leased', gauge, state)] },
      { rank: ranks.waiting, rows: [this.#row('waiting', valueRow(peaks, 'red', 4), queue)] },
    ];
    if (lane !== undefined) blocks.push({ rank: ranks.lane, rows: [this.#lane(lane)] });
    return blocks;
  }

  #lane({ holder, waiting }: NonNullable<PoolState['lane']>): Row {
    const { ticks } = this.#history;
    const peaks = peaksOf(ticks, this.#columns, (tick) => ofPool(tick, this.#pool.id)?.laneWaiting);
    const queue: Part | undefined = waiting === 0 ? undefined : { text: `${waiting} wait`, style: 'alarm' };
    const text: Row =
      holder === undefined
        ? spaced({ text: 'free', style: 'dim' }, queue)
        : spaced(
            queue,
            { text: formatDuration(holder.age), style: 'yellow' },
            labelPart(holder.label),
            { text: holder.kind, style: 'dim' },
            holder.pool === this.#pool.name ? undefined : { text: `of ${visible(holder.pool)}`, style: 'dim' },
          );
    return this.#row('lane', valueRow(peaks, 'yellow', 4), text);
  }

  #connections(): Block[] {
    const { connections, holders } = this.#pool;
    if (connections.length === 0) return [];
    const activity = activityOf(this.#pool, this.#history.ticks, this.#columns);
    const byConnection = new Map(holders.map((holder) => [holder.connection, holder]));
    const scale = this.#row('', this.#scale(), legend);
    const rows = connections.map((id, index) => {
      const holder = byConnection.get(id);
      const text = holder === undefined ? [] : holderRow(holder);
      const row = this.#row(`#${id}`, activityRow(activity.get(id) ?? []), text);
      return { rank: (holder === undefined ? ranks.free : ranks.held) + index / 2, rows: [row] };
    });
    return [{ rank: ranks.space, rows: [[]] }, { rank: ranks.scale, rows: [scale] }, ...rows];
  }

  #scale(): Row {
    const [left, right] = [`${shownPeriod / 1000} s ago`, 'now'];
    const room = this.#chart - left.length - right.length;
    return [{ text: room < 1 ? '' : left + ' '.repeat(room) + right, style: 'dim' }];
  }

  #durations(): Block[] {
    const { id, waitTime, holdTime, counters } = this.#pool;
    const trend = this.#history.trendOf(id);
    const wrong = troubles
      .filter(([counter]) => (counters[counter] ?? 0) > 0)
      .map(([counter, said]): Part => ({ text: `${counters[counter]} ${said}`, style: 'red' }));
    const total = { text: formatCount(counters['acquired'] ?? 0, 'lease') };
    return [
      { rank: ranks.space, rows: [[]] },
      { rank: ranks.waits, rows: [this.#row('waits', [], this.#quantiles(trend?.wait, waitTime))] },
      { rank: ranks.holds, rows: [this.#row('holds', [], this.#quantiles(trend?.hold, holdTime))] },
      { rank: ranks.loop, rows: [this.#loop()] },
      { rank: ranks.counters, rows: [this.#row('in all', [], spaced(total, ...wrong))] },
    ];
  }

  #loop(): Row {
    const { ticks } = this.#history;
    const peaks = peaksOf(ticks, this.#columns, ({ loop }) => loop.delay);
    const { delay = 0, busy = 0 } = ticks.at(-1)?.loop ?? {};
    const text = spaced(
      { text: formatDuration(delay), style: delay >= 100 ? 'alarm' : undefined },
      { text: `busy ${Math.round(busy * 100)} %`, style: busy >= 0.9 ? 'alarm' : 'dim' },
    );
    return this.#row('loop', valueRow(peaks, 'blue', 20), text);
  }

  /** Of the last five seconds in which any ended. */
  #quantiles(lately: Quantiles | undefined, ever: Quantiles): Row {
    const isRecent = lately !== undefined && lately.count > 0;
    const { count, ...of } = isRecent ? lately : ever;
    if (count === 0) return [{ text: 'none yet', style: 'dim' }];
    // The tails rather than the middle where there is no room for both.
    const names = quantiles.slice(this.#width >= 76 ? 0 : this.#width >= 60 ? 1 : 2);
    const cells = names.flatMap((name) =>
      inCells({ row: [{ text: `${name} `, style: 'dim' }, { text: formatDuration(of[name]) }], width: 13 }),
    );
    return [...cells, { text: isRecent ? 'last 5 s' : 'ever', style: 'dim' }];
  }

  #list(title: string, rank: number, rows: readonly Row[]): Block[] {
    if (rows.length === 0) return [];
    const heading: Row = [{ text: title, style: 'bold' }];
    const [first = [], ...others] = rows;
    return [
      { rank: ranks.space, rows: [[]] },
      { rank, rows: [heading, first] },
      ...others.map((row, index) => ({ rank: rank + (index + 1) * 2, rows: [row] })),
    ];
  }

  #longest(): Row[] {
    const { holders, longest } = this.#pool;
    const leases = [
      ...longest.map((lease) => ({ lease, held: lease.to - lease.from, ended: lease.to as number | undefined })),
      ...holders.map((lease) => ({ lease, held: lease.age, ended: undefined })),
    ].toSorted((a, b) => b.held - a.held);
    return leases
      .slice(0, 20)
      .map(({ lease, held, ended }) =>
        spaced(
          inCells({ row: [{ text: formatDuration(held) }], width: nameWidth - 2, right: true }),
          ended === undefined
            ? inCells({ row: [{ text: 'now', style: 'alarm' }], width: 8 })
            : inCells({ row: [{ text: clockTime(ended), style: 'dim' }], width: 8 }),
          { text: `#${lease.connection}`, style: 'dim' },
          labelPart(lease.label),
          writesPart(lease),
          lease.waited < 1 ? undefined : { text: `waited ${formatDuration(lease.waited)}`, style: 'dim' },
        ),
      );
  }

  #waiters(): Row[] {
    return this.#pool.waiters.map((waiter) => waiterRow(waiter));
  }

  #notes(): Block[] {
    const notes = this.#history.notesOf(this.#pool.id);
    return notes.length === 0
      ? []
      : [
          { rank: ranks.space, rows: [[]] },
          ...notes.map((note, index) => {
            const isFresh = index === 0 && note.at > this.#now - shownPeriod;
            const text = spaced(
              { text: clockTime(note.at), style: 'dim' },
              { text: visible(note.kind), style: isFresh ? 'alarm' : 'red' },
              { text: visible(note.message.split('\n', 1)[0] ?? '') },
            );
            return { rank: isFresh ? ranks.freshNote : ranks.note + index * 3, rows: [text] };
          }),
        ];
  }
}

function holderRow(holder: Holder): Row {
  const { age, label, mode, inTransaction } = holder;
  const doing =
    mode === 'write' ? 'writes' : mode === 'read' ? 'snapshot' : inTransaction ? 'in transaction' : undefined;
  return spaced(
    { text: formatDuration(age), style: 'bold' },
    labelPart(label),
    doing === undefined ? undefined : { text: doing, style: mode === 'write' ? 'yellow' : 'dim' },
  );
}

function waiterRow({ for: what, label, waited, left, priority }: Waiter): Row {
  return spaced(
    inCells({ row: [{ text: formatDuration(waited), style: 'bold' }], width: nameWidth - 2, right: true }),
    inCells({ row: [{ text: what === 'connection' ? 'conn.' : 'lane', style: 'dim' }], width: 5 }),
    labelPart(label),
    left === undefined
      ? undefined
      : { text: `gives up in ${formatDuration(left)}`, style: left < 1000 ? 'alarm' : 'dim' },
    priority === 0 ? undefined : { text: `priority ${priority}`, style: 'dim' },
  );
}

function labelPart(label: string | undefined): Part {
  return label === undefined ? { text: 'no label', style: 'dim' } : { text: visible(label), style: 'cyan' };
}

function writesPart({ writes }: Bar | Holder): Part | undefined {
  const wrote = writes.reduce((sum, [from, to]) => sum + to - from, 0);
  return wrote <= 0 ? undefined : { text: `wrote ${formatDuration(wrote)}`, style: 'yellow' };
}
