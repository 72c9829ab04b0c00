import type { Bar, Holder, LabelState, Note, PoolState, Waiter } from '../wire.ts';
import { byId, element } from './dom.ts';
import { clockTime, duration, labelOf, oneLine, whole, words } from './format.ts';
import type { View } from './store.ts';
import { type Column, Table } from './table.ts';

const mostNotes = 100;

/** A panel for a table, among those that tell what is the case now, or those that tell what was. */
function add<Row>(when: 'now' | 'then', table: Table<Row>, width: string): Table<Row> {
  const panel = element('section', `panel ${width}`);
  panel.ariaLabel = table.box.ariaLabel;
  panel.append(element('h2', '', table.box.ariaLabel ?? ''), table.box);
  byId(`tables-${when}`, HTMLElement).append(panel);
  return table;
}

/** What the picture shows, in words and numbers. */
export class Tables {
  readonly #open: (lease: number) => void;
  readonly #holders: Table<Holder>;
  readonly #waiters: Table<readonly [number, Waiter]>;
  readonly #longest: Table<Bar>;
  readonly #labels: Table<LabelState>;
  readonly #notes: Table<readonly [string, Note]>;
  readonly #counters: Table<readonly [string, string]>;

  constructor(open: (lease: number) => void) {
    this.#open = open;
    this.#holders = add('now', new Table(this.#holderOptions()), 'wide');
    this.#waiters = add('now', new Table(waiterOptions), 'narrow');
    this.#longest = add('then', new Table(this.#longestOptions()), 'half');
    this.#labels = add('then', new Table(labelOptions), 'half');
    this.#notes = add('then', new Table(this.#noteOptions()), 'wide');
    this.#counters = add('then', new Table(counterOptions), 'narrow');
  }

  update(view: View, pool: PoolState): void {
    this.#holders.update(pool.holders.toSorted((a, b) => b.age - a.age));
    this.#waiters.update(pool.waiters.map((waiter, index) => [index, waiter]));
    this.#longest.update(pool.longest);
    this.#labels.update(pool.labels);
    this.#notes.update(notesOf(view, pool.id));
    this.#counters.update(countersOf(pool));
  }

  #holderOptions() {
    const columns: readonly Column<Holder>[] = [
      {
        head: 'Label',
        kind: 'label',
        text: ({ label }) => labelOf(label),
        open:
          ({ lease }) =>
          () =>
            this.#open(lease),
      },
      { head: 'Held', kind: 'number', text: ({ age }) => duration(age) },
      { head: 'Waited', kind: 'number', text: ({ waited }) => duration(waited) },
      { head: 'Last used', kind: 'number', text: ({ idleFor }) => `${duration(idleFor)} ago` },
      { head: 'Conn.', kind: 'number', text: ({ connection }) => `${connection}` },
      { head: 'Does', kind: 'words', text: doing },
      { head: 'Statement', kind: 'code', optional: true, text: ({ sql }) => shortSql(sql), more: ({ sql }) => sql },
      {
        head: 'Acquired',
        kind: 'code',
        optional: true,
        text: ({ stack }) => frameOf(stack),
        more: ({ stack }) => stack,
      },
    ];
    return { title: 'Held now', empty: 'Nobody holds a connection.', columns, key: ({ lease }: Holder) => `${lease}` };
  }

  #longestOptions() {
    const columns: readonly Column<Bar>[] = [
      {
        head: 'Label',
        kind: 'label',
        text: ({ label }) => labelOf(label),
        open:
          ({ lease }) =>
          () =>
            this.#open(lease),
      },
      { head: 'Held', kind: 'number', text: ({ from, to }) => duration(to - from) },
      { head: 'Waited', kind: 'number', text: ({ waited }) => duration(waited) },
      { head: 'Conn.', kind: 'number', text: ({ connection }) => `${connection}` },
      { head: 'Began', kind: 'number', text: ({ from }) => clockTime(from) },
    ];
    const title = 'Longest leases of the last ten minutes';
    return { title, empty: 'None has ended yet.', columns, key: ({ lease }: Bar) => `${lease}` };
  }

  #noteOptions() {
    const columns: readonly Column<readonly [string, Note]>[] = [
      { head: 'At', kind: 'number', text: ([, { at }]) => clockTime(at) },
      { head: 'What', text: ([, { kind }]) => kind },
      {
        head: 'Label',
        kind: 'label',
        text: ([, { label }]) => labelOf(label),
        open: ([, { lease }]) => this.#opener(lease),
      },
      {
        head: 'Message',
        kind: 'code',
        text: ([, { message }]) => oneLine(message, 140),
        more: ([, { message }]) => message,
      },
    ];
    return {
      title: 'What went wrong',
      empty: 'Nothing in the last minute.',
      columns,
      key: ([key]: readonly [string, Note]) => key,
    };
  }

  #opener(lease: number | undefined): (() => void) | undefined {
    return lease === undefined ? undefined : () => this.#open(lease);
  }
}

const waiterOptions = {
  title: 'Waiting now',
  empty: 'Nobody waits.',
  columns: [
    { head: 'Label', kind: 'label', text: ([, { label }]) => labelOf(label) },
    { head: 'For', text: ([, waiter]) => waiter.for },
    { head: 'Waited', kind: 'number', text: ([, { waited }]) => duration(waited) },
    { head: 'Left', kind: 'number', text: ([, { left }]) => (left === undefined ? 'no end' : duration(left)) },
    { head: 'Prio.', kind: 'number', text: ([, { priority }]) => `${priority}` },
  ] satisfies readonly Column<readonly [number, Waiter]>[],
  key: ([index]: readonly [number, Waiter]) => `${index}`,
};

const labelOptions = {
  title: 'By label',
  empty: 'No lease with a label has ended yet.',
  columns: [
    { head: 'Label', kind: 'label', text: ({ label }) => (label === undefined ? 'all others' : labelOf(label)) },
    { head: 'Leases', kind: 'number', text: ({ acquired }) => whole(acquired) },
    { head: 'Now', kind: 'number', text: ({ leased }) => whole(leased) },
    { head: 'Held p50', kind: 'number', text: ({ holdTime }) => duration(holdTime.p50) },
    { head: 'p95', kind: 'number', text: ({ holdTime }) => duration(holdTime.p95) },
    { head: 'Waited p95', kind: 'number', text: ({ waitTime }) => duration(waitTime.p95) },
    { head: 'Timeouts', kind: 'number', text: ({ timeouts }) => whole(timeouts) },
  ] satisfies readonly Column<LabelState>[],
  key: ({ label }: LabelState) => (label === undefined ? 'others' : `label ${label}`),
};

const counterOptions = {
  title: 'Since the pool was made',
  empty: '',
  columns: [
    { head: 'Counter', text: ([name]) => name },
    { head: 'Value', kind: 'number', text: ([, value]) => value },
  ] satisfies readonly Column<readonly [string, string]>[],
  key: ([name]: readonly [string, string]) => name,
};

function countersOf({ counters, waitTime, holdTime, openTime }: PoolState): readonly (readonly [string, string])[] {
  return [
    ...Object.entries(counters).map(([name, value]) => [words(name), whole(value)] as const),
    ['waited, p99', duration(waitTime.p99)],
    ['held, p99', duration(holdTime.p99)],
    ['opening, p99', duration(openTime.p99)],
  ];
}

/** Newest first. */
function notesOf(view: View, pool: number): readonly (readonly [string, Note])[] {
  const notes: (readonly [string, Note])[] = [];
  for (const tick of view.ticks.toReversed()) {
    for (const part of tick.pools) {
      if (part.pool !== pool) continue;
      for (const [index, note] of [...part.notes.entries()].toReversed()) notes.push([`${tick.number}:${index}`, note]);
    }
    if (notes.length >= mostNotes) break;
  }
  return notes.slice(0, mostNotes);
}

function doing({ inTransaction, mode }: Holder): string {
  const may = { connection: 'connection', read: 'snapshot', write: 'may write' }[mode];
  return inTransaction ? `${may}, transaction open` : may;
}

function shortSql(sql: string | undefined): string {
  return sql === undefined ? '' : oneLine(sql.replaceAll(/\s+/g, ' ').trim(), 40);
}

/** The first frame of a stack, without what every one of a file has. */
function frameOf(stack: string | undefined): string {
  const line = stack?.split('\n').find((each) => /^\s*at /.test(each));
  return line === undefined
    ? ''
    : oneLine(
        line
          .trim()
          .replace(/^at (?:async )?/, '')
          .replace(/file:\/\/\S*\//, ''),
        60,
      );
}
