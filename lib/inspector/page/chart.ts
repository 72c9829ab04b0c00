import { element, say, set, svg } from './dom.ts';
import { clockTime } from './format.ts';
import { nearestPoint, type Point, pathOf, type ValueScale } from './scale.ts';

export interface ChartOptions {
  readonly title: string;
  readonly lines: readonly string[];
  scaleOf(values: readonly number[]): ValueScale;
  format(value: number): string;
  /** How long there may be nothing between two points that are joined. */
  readonly gap: number;
}

const height = 120;

/** Lines over time, the values of which are read with the pointer, the arrow keys, or as text. */
export class Chart {
  readonly box = element('figure', 'panel chart');
  readonly #options: ChartOptions;
  readonly #read = element('figcaption', 'read');
  readonly #values: HTMLElement[];
  readonly #when = element('span');
  readonly #svg = svg('svg', { tabindex: 0, role: 'application', 'aria-roledescription': 'chart' });
  readonly #grid = svg('g');
  readonly #plot = svg('svg', { preserveAspectRatio: 'none', viewBox: '0 0 100 100', y: 4, height: height - 22 });
  readonly #paths: readonly SVGPathElement[];
  readonly #cursor = svg('line', { class: 'cursor', y1: 4, y2: height - 18, visibility: 'hidden' });
  readonly #spoken = element('p', 'hidden');
  #points: readonly Point[] = [];
  #from = 0;
  #to = 1;
  #at: number | undefined;
  #drawn = '';

  constructor(options: ChartOptions) {
    this.#options = options;
    this.#values = options.lines.map(() => element('b'));
    this.#paths = options.lines.map((_, index) => svg('path', { class: `line-${index}` }));
    for (const [index, value] of this.#values.entries()) {
      const read = element('span', 'reading');
      read.append(element('span', `swatch swatch-${index}`), `${options.lines[index]} `, value);
      this.#read.append(read, ' ');
    }
    this.#read.append(this.#when);
    this.#spoken.setAttribute('aria-live', 'polite');
    this.#plot.append(...this.#paths.toReversed());
    this.#svg.append(this.#grid, this.#plot, this.#cursor);
    this.box.ariaLabel = options.title;
    this.box.append(element('h2', '', options.title), this.#read, this.#svg, this.#spoken);
    this.#svg.addEventListener('pointermove', (event) => this.#point(this.#timeAt(event)));
    this.#svg.addEventListener('pointerleave', () => this.#point(undefined));
    this.#svg.addEventListener('blur', () => this.#point(undefined));
    this.#svg.addEventListener('keydown', (event) => this.#key(event));
    new ResizeObserver(() => this.#draw()).observe(this.box);
  }

  update(points: readonly Point[], from: number, to: number): void {
    this.#points = points.filter(({ at }) => at >= from);
    this.#from = from;
    this.#to = to;
    this.#draw();
  }

  #draw(): void {
    const width = this.#svg.clientWidth;
    const { lines, scaleOf, format, gap } = this.#options;
    const left = 46;
    if (width <= left) return;
    const values = this.#points.flatMap((point) => point.values.filter((value) => value !== undefined));
    const scale = scaleOf(values);
    set(this.#plot, { x: left, width: width - left });
    for (const [index, path] of this.#paths.entries()) {
      set(path, { d: pathOf(this.#points, index, scale, this.#from, this.#to, gap) });
    }
    const drawn = `${width} ${scale.ticks.join()} ${Math.round((this.#to - this.#from) / 1000)}`;
    if (drawn !== this.#drawn) this.#drawGrid(scale, left, width);
    this.#drawn = drawn;
    const shown = this.#at === undefined ? this.#points.at(-1) : nearestPoint(this.#points, this.#at);
    for (const [index, place] of this.#values.entries()) {
      const value = shown?.values[index];
      say(place, value === undefined ? '–' : format(value));
    }
    const x = shown === undefined ? 0 : left + ((shown.at - this.#from) / (this.#to - this.#from)) * (width - left);
    set(this.#cursor, {
      x1: x,
      x2: x,
      visibility: this.#at === undefined || shown === undefined ? 'hidden' : 'visible',
    });
    say(this.#when, this.#at === undefined || shown === undefined ? '' : `at ${clockTime(shown.at)}`);
    const said = lines.map((line, index) => `${line} ${this.#values[index]?.textContent}`).join(', ');
    set(this.#svg, { 'aria-label': `${this.#options.title}: ${said}` });
  }

  #drawGrid(scale: ValueScale, left: number, width: number): void {
    const parts: SVGElement[] = [];
    for (const value of scale.ticks) {
      const y = 4 + (1 - scale.place(value)) * (height - 22);
      const text = svg('text', { x: left - 6, y: y + 4, 'text-anchor': 'end' });
      text.textContent = this.#options.format(value);
      parts.push(svg('line', { class: 'grid', x1: left, x2: width, y1: y, y2: y }), text);
    }
    const seconds = (this.#to - this.#from) / 1000;
    const unit = seconds >= 60 ? `−${Math.round(seconds / 60)} min` : `−${Math.round(seconds)} s`;
    for (const [text, x, anchor] of [
      [unit, left, 'start'],
      ['now', width, 'end'],
    ] as const) {
      const label = svg('text', { x, y: height - 2, 'text-anchor': anchor });
      label.textContent = text;
      parts.push(label);
    }
    this.#grid.replaceChildren(...parts);
  }

  #timeAt(event: PointerEvent): number {
    const box = this.#plot.getBoundingClientRect();
    return this.#from + ((event.clientX - box.left) / Math.max(1, box.width)) * (this.#to - this.#from);
  }

  #point(at: number | undefined): void {
    this.#at = at;
    this.#draw();
  }

  #key(event: KeyboardEvent): void {
    const step = event.key === 'ArrowLeft' ? -1 : event.key === 'ArrowRight' ? 1 : 0;
    if (event.key === 'Escape') this.#point(undefined);
    if (step === 0) return;
    event.preventDefault();
    const at = this.#at ?? this.#to;
    const shown = nearestPoint(this.#points, at);
    const index = shown === undefined ? -1 : this.#points.indexOf(shown) + (this.#at === undefined ? 0 : step);
    this.#point(this.#points[Math.max(0, Math.min(this.#points.length - 1, index))]?.at);
    say(this.#spoken, `${this.#when.textContent}: ${this.#svg.getAttribute('aria-label')}`);
  }
}
