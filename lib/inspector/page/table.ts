import { element, isolated, say } from './dom.ts';

export interface Column<Row> {
  readonly head: string;
  readonly kind?: 'number' | 'label' | 'code' | 'words';
  text(row: Row): string;
  /** Makes a button of the text. */
  open?(row: Row): (() => void) | undefined;
  /** What is folded behind the text. */
  more?(row: Row): string | undefined;
  /** Left out where no row has anything to say. */
  readonly optional?: boolean;
}

export interface TableOptions<Row> {
  readonly title: string;
  /** Instead of rows, where there are none. */
  readonly empty: string;
  readonly columns: readonly Column<Row>[];
  /** The same for the same thing in a later report: so what is unfolded or focused stays so. */
  key(row: Row): string;
}

/** A table of which only that is written that has changed. */
export class Table<Row> {
  readonly box = element('div', 'scroll');
  readonly #options: TableOptions<Row>;
  readonly #body = element('tbody');
  readonly #heads: HTMLTableCellElement[] = [];
  readonly #rows = new Map<string, { readonly element: HTMLTableRowElement; row: Row }>();

  constructor(options: TableOptions<Row>) {
    this.#options = options;
    const table = element('table');
    const head = element('thead');
    const row = element('tr');
    for (const column of options.columns) {
      const cell = element('th', column.kind === 'number' ? 'number' : '', column.head);
      cell.scope = 'col';
      this.#heads.push(cell);
      row.append(cell);
    }
    head.append(row);
    table.append(element('caption', 'hidden', options.title), head, this.#body);
    this.box.append(table);
    this.box.tabIndex = 0;
    this.box.role = 'group';
    this.box.ariaLabel = options.title;
  }

  update(rows: readonly Row[]): void {
    const keys = distinct(rows.map((row) => this.#options.key(row)));
    const kept = new Set(keys);
    for (const [key, { element: old }] of this.#rows) {
      if (kept.has(key)) continue;
      old.remove();
      this.#rows.delete(key);
    }
    if (rows.length === 0) this.#showEmpty();
    else if (this.#rows.size === 0) this.#body.replaceChildren();
    for (const [index, row] of rows.entries()) {
      const key = keys[index] as string;
      const known = this.#rows.get(key) ?? { element: this.#made(key), row };
      known.row = row;
      this.#rows.set(key, known);
      const there = this.#body.children[index];
      // To move a row would take the focus from it: so only where the order is another one.
      if (there !== known.element) this.#body.insertBefore(known.element, there ?? null);
      this.#write(known.element, row);
    }
    for (const [index, column] of this.#options.columns.entries()) {
      const hidden = column.optional === true && rows.every((row) => column.text(row) === '');
      for (const row of [this.#heads[index]?.parentElement, ...this.#body.children]) {
        const cell = row?.children[index];
        if (cell instanceof HTMLElement) cell.hidden = hidden;
      }
    }
  }

  #showEmpty(): void {
    if (this.#body.querySelector('.empty') !== null) return;
    const row = element('tr');
    const cell = element('td', 'empty', this.#options.empty);
    cell.colSpan = this.#options.columns.length;
    row.append(cell);
    this.#body.replaceChildren(row);
  }

  #made(key: string): HTMLTableRowElement {
    const row = element('tr');
    for (const column of this.#options.columns) {
      const cell = element('td', column.kind ?? '');
      if (column.open !== undefined) cell.append(this.#button(key, column));
      else if (column.more === undefined) cell.append(isolated(''));
      else {
        const details = element('details');
        details.append(element('summary'), element('pre'));
        cell.append(details);
      }
      row.append(cell);
    }
    return row;
  }

  #button(key: string, column: Column<Row>): HTMLButtonElement {
    const button = element('button');
    button.type = 'button';
    button.append(isolated(''));
    button.addEventListener('click', () => {
      const known = this.#rows.get(key);
      if (known !== undefined) column.open?.(known.row)?.();
    });
    return button;
  }

  #write(target: HTMLTableRowElement, row: Row): void {
    for (const [index, column] of this.#options.columns.entries()) {
      const place = target.children[index]?.firstElementChild;
      if (place === undefined || place === null) continue;
      if (place instanceof HTMLDetailsElement) {
        const more = column.more?.(row);
        place.hidden = more === undefined;
        if (place.firstElementChild !== null) say(place.firstElementChild, column.text(row));
        if (place.lastElementChild !== null) say(place.lastElementChild, more ?? '');
      } else if (place instanceof HTMLButtonElement) {
        if (place.firstElementChild !== null) say(place.firstElementChild, column.text(row));
        place.disabled = column.open?.(row) === undefined;
      } else {
        say(place, column.text(row));
      }
    }
  }
}

/** With the place of each among its like: of long labels only the beginning is told, and rows may look the same. */
function distinct(keys: readonly string[]): string[] {
  const counts = new Map<string, number>();
  return keys.map((key) => {
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    return `${count} ${key}`;
  });
}
