import { widthOf } from '../../../../lib/cli/text.ts';

const esc = '\u001b';
/** A cell that the second half of a wide character takes. */
const taken = '\u0000';

/**
 * As much of a terminal as `leasehold top` uses: what it was sent, as the text that a user sees. It fails for a sequence that it
 * does not know, as one that came from a label would be.
 */
export class Emulator {
  columns: number;
  rows: number;
  /** On the other screen, which leaves what was there before as it was. */
  isAlternate = false;
  hasCursor = true;
  wraps = true;
  /** All that was sent. */
  sent = '';
  #main: string[][] = [];
  #alternate: string[][] = [];
  #row = 0;
  #column = 0;
  #kept = { row: 0, column: 0 };
  #rest = '';

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
  }

  /** The rows of the screen that is shown, without the space at their ends. */
  get screen(): string[] {
    const rows = Array.from({ length: this.rows }, (_, row) => {
      const cells = Array.from(this.#cells[row] ?? [], (cell) => cell ?? ' ');
      return cells
        .filter((cell) => cell !== taken)
        .join('')
        .trimEnd();
    });
    while (rows.at(-1) === '') rows.pop();
    return rows;
  }

  get text(): string {
    return this.screen.join('\n');
  }

  /** Where a row ends, in columns. */
  widthOfRow(row: number): number {
    return (this.#cells[row] ?? []).findLastIndex((cell) => (cell ?? ' ') !== ' ') + 1;
  }

  write(text: string): void {
    this.sent += text;
    let input = this.#rest + text;
    this.#rest = '';
    while (input !== '') {
      const begin = input.indexOf(esc);
      this.#print(begin === -1 ? input : input.slice(0, begin));
      if (begin === -1) return;
      input = input.slice(begin + 1);
      const sequence = /^\[([?0-9;]*)([@-~])/.exec(input);
      if (sequence === null) {
        // The other half of it has not come yet, or else it is one that nobody sends on purpose.
        if (!/^(?:\[[?0-9;]*)?$/.test(input))
          throw new Error(`Unknown sequence: ${JSON.stringify(input.slice(0, 20))}`);
        this.#rest = esc + input;
        return;
      }
      this.#control(sequence[1] ?? '', sequence[2] ?? '');
      input = input.slice(sequence[0].length);
    }
  }

  get #cells(): string[][] {
    return this.isAlternate ? this.#alternate : this.#main;
  }

  #control(parameters: string, final: string): void {
    const [first = 0, second = 0] = parameters.replace('?', '').split(';').map(Number);
    switch (`${parameters.startsWith('?') ? '?' : ''}${final}`) {
      case '?h':
      case '?l':
        this.#mode(first, final === 'h');
        break;
      case 'H':
        this.#row = Math.max(first, 1) - 1;
        this.#column = Math.max(second, 1) - 1;
        break;
      case 'G':
        this.#column = Math.min(Math.max(first, 1), this.columns) - 1;
        break;
      case 'J':
        if (first !== 2) throw new Error(`Unknown: erase ${first}`);
        this.#cells.length = 0;
        break;
      case 'K':
        if (first !== 2) throw new Error(`Unknown: erase of a line ${first}`);
        this.#cells[this.#row] = [];
        break;
      case 'm':
        break;
      default:
        throw new Error(`Unknown sequence: ${parameters}${final}`);
    }
  }

  #mode(mode: number, on: boolean): void {
    if (mode === 1049) {
      if (on === this.isAlternate) return;
      if (on) this.#kept = { row: this.#row, column: this.#column };
      this.isAlternate = on;
      this.#alternate = [];
      this.#row = on ? 0 : this.#kept.row;
      this.#column = on ? 0 : this.#kept.column;
    } else if (mode === 25) {
      this.hasCursor = on;
    } else if (mode === 7) {
      this.wraps = on;
    } else {
      throw new Error(`Unknown mode: ${mode}`);
    }
  }

  #print(text: string): void {
    for (const { segment } of new Intl.Segmenter('en').segment(text)) {
      if (segment === '\r\n' || segment === '\n') {
        this.#row++;
        this.#column = 0;
      } else if (segment === '\r') {
        this.#column = 0;
      } else if (/\p{Cc}/u.test(segment)) {
        if (segment !== '\u0007') throw new Error(`Unknown control character: ${JSON.stringify(segment)}`);
      } else {
        this.#put(segment);
      }
    }
  }

  #put(segment: string): void {
    const width = widthOf(segment);
    if (this.#column + width > this.columns) {
      if (!this.wraps) {
        // What does not fit overwrites the last column.
        this.#column = Math.max(0, this.columns - width);
      } else {
        this.#row++;
        this.#column = 0;
      }
    }
    this.#cells[this.#row] ??= [];
    const row = this.#cells[this.#row] ?? [];
    row[this.#column] = segment;
    if (width === 2) row[this.#column + 1] = taken;
    this.#column += width;
  }
}
