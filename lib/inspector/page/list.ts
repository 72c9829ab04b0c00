import type { PoolState } from '../wire.ts';
import { byId } from './dom.ts';
import { clockTime, duration, labelOf } from './format.ts';
import type { Item, LeaseItem } from './items.ts';
import { pictureOf } from './picture.ts';
import type { View } from './store.ts';
import { Table } from './table.ts';
import { spoken } from './words.ts';

const most = 200;

/** The leases of the picture as a table, for those who cannot see it. */
export class List {
  readonly #fold = byId('list', HTMLDetailsElement);
  readonly #table: Table<LeaseItem>;
  #now = 0;

  constructor(open: (lease: number) => void, changed: () => void) {
    this.#table = new Table<LeaseItem>({
      title: 'Leases, the newest first',
      empty: 'There was none in the last minute.',
      key: ({ key }) => key,
      columns: [
        {
          head: 'Label',
          kind: 'label',
          text: ({ label }) => labelOf(label),
          open:
            ({ lease }) =>
            () =>
              open(lease),
        },
        { head: 'Began', kind: 'number', text: ({ from }) => clockTime(from) },
        { head: 'Connection', kind: 'number', text: ({ connection }) => `${connection}` },
        { head: 'Held', kind: 'number', text: (item) => this.#held(item) },
        { head: 'Waited', kind: 'number', text: ({ waited }) => duration(waited) },
        { head: 'In words', kind: 'code', text: (item) => spoken(item, this.#now) },
      ],
    });
    byId('list-table', HTMLElement).append(this.#table.box);
    this.#fold.addEventListener('toggle', changed);
  }

  /** Not while it is closed, and not while somebody is in it: rows would move away under the reader. */
  update(view: View, pool: PoolState): void {
    if (!this.#fold.open || this.#table.box.contains(document.activeElement)) return;
    this.#now = view.server.now;
    const leases = pictureOf(view, pool).items.flat().filter(isLease);
    this.#table.update(leases.toSorted((a, b) => b.from - a.from).slice(0, most));
  }

  #held({ from, to }: LeaseItem): string {
    return to === Number.POSITIVE_INFINITY ? `${duration(this.#now - from)} so far` : duration(to - from);
  }
}

function isLease(item: Item): item is LeaseItem {
  return item.type === 'lease';
}
