import type { PoolState } from '../wire.ts';
import { byId, element, say } from './dom.ts';
import { paintFrame, placeOf, type Scene } from './frame.ts';
import { hit } from './geometry.ts';
import type { Item } from './items.ts';
import { laneName } from './lanes.ts';
import { type Layout, layoutOf, rowAt, scrolledTo } from './layout.ts';
import { type Choice, followed, moved, moveOf } from './navigate.ts';
import { hatchOf, type Look } from './painter.ts';
import { paletteOf } from './palette.ts';
import { type Picture, pictureOf } from './picture.ts';
import { queueSteps, queueTop } from './queue.ts';
import type { View } from './store.ts';
import { Strip } from './strip.ts';
import { Tip } from './tip.ts';
import { spoken } from './words.ts';

const spans = [60_000, 20_000, 5_000];

/** The lanes of the last minute, and how one moves in them. */
export class Timeline {
  readonly #region = byId('lanes', HTMLElement);
  readonly #canvas = byId('canvas', HTMLCanvasElement);
  readonly #spacer = byId('spacer', HTMLElement);
  readonly #context = this.#canvas.getContext('2d') as CanvasRenderingContext2D;
  readonly #strip = new Strip();
  readonly #tip = new Tip();
  readonly #open: (lease: number) => void;
  readonly #dirty: () => void;
  #look: Look | undefined;
  #span = spans[0] as number;
  #scene: Scene | undefined;
  #chosen: Choice | undefined;
  #pointer: { readonly x: number; readonly y: number } | undefined;
  #view: View | undefined;
  /** Of what was painted last. Most frames would not differ from the one before by a pixel. */
  #painted = '';
  /** Whether any of it is within the window. */
  #seen = true;

  /** `open` shows the details of a lease; `dirty` asks for a frame. */
  constructor(open: (lease: number) => void, dirty: () => void) {
    this.#open = open;
    this.#dirty = () => {
      this.#painted = '';
      dirty();
    };
    new ResizeObserver(this.#dirty).observe(this.#region);
    new IntersectionObserver((entries) => {
      this.#seen = entries.at(-1)?.isIntersecting ?? true;
      this.#dirty();
    }).observe(this.#region);
    this.#region.addEventListener('scroll', this.#dirty, { passive: true });
    this.#region.addEventListener('keydown', (event) => this.#key(event));
    this.#region.addEventListener('pointermove', (event) => this.#point(event));
    this.#region.addEventListener('pointerleave', () => this.#point(undefined));
    this.#region.addEventListener('click', (event) => this.#click(event));
    this.#region.addEventListener('blur', () => {
      this.#tip.hide();
      this.#dirty();
    });
    byId('spans', HTMLElement).append(...spans.map((span) => this.#spanButton(span)));
  }

  /** Whether anything on it moves by itself, beside the seconds. */
  get moving(): boolean {
    return this.#seen && (this.#scene?.picture.items.some((items) => items.length > 0) ?? false);
  }

  recolour(): void {
    this.#look = undefined;
    this.#dirty();
  }

  forget(): void {
    this.#chosen = undefined;
  }

  draw(view: View, pool: PoolState, now: number): void {
    const { origin, perMillisecond } = this.#strip.scale;
    const painting = `${pool.id} ${Math.round((now - origin) * perMillisecond)} ${devicePixelRatio}`;
    if (view === this.#view && painting === this.#painted) return;
    const width = this.#region.clientWidth;
    if (width < 60) return;
    this.#painted = painting;
    const picture = pictureOf(view, pool);
    const layout = layoutOf(picture.lanes, width, Math.max(360, Math.min(760, innerHeight * 0.66)));
    const look = this.#lookOf();
    const begin = now - this.#span;
    this.#fit(layout, look.ratio);
    this.#strip.update(view, pool.id, picture, layout, look, this.#span, begin);
    this.#chosen = followed(picture, this.#chosen);
    if (this.#chosen !== undefined && this.#chosen.item.to < begin) this.#chosen = undefined;
    const queue = view === this.#view && this.#scene !== undefined ? this.#scene.queue : stepsOf(view, pool);
    this.#view = view;
    const scrolled = this.#region.scrollTop;
    const base = { picture, layout, look, strip: this.#strip, queue, queueTop: queueTop(queue), begin, now, scrolled };
    const pointed = this.#pointed(base);
    this.#scene = { ...base, chosen: this.#chosen, pointed };
    paintFrame(this.#context, this.#scene);
    this.#showTip(pointed);
  }

  #lookOf(): Look {
    const ratio = devicePixelRatio;
    if (this.#look?.ratio === ratio) return this.#look;
    const palette = paletteOf();
    const { fontFamily } = getComputedStyle(document.documentElement);
    const fontOf = (size: number): string => `${Math.round(size * ratio)}px ${fontFamily}`;
    this.#look = {
      palette,
      ratio,
      font: fontOf(12),
      small: fontOf(10),
      hatch: hatchOf(this.#context, palette.wait, ratio),
    };
    return this.#look;
  }

  #fit(layout: Layout, ratio: number): void {
    const width = Math.round(layout.width * ratio);
    const height = Math.round(layout.view * ratio);
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) {
      this.#canvas.height = height;
      this.#canvas.style.height = `${layout.view}px`;
      this.#region.style.height = `${layout.view}px`;
    }
    const rest = `${layout.content + layout.axis - layout.view}px`;
    if (this.#spacer.style.height !== rest) this.#spacer.style.height = rest;
  }

  #pointed(scene: Omit<Scene, 'chosen' | 'pointed'>): Choice | undefined {
    if (this.#pointer === undefined) return undefined;
    const { layout, picture, begin, now, scrolled } = scene;
    const { x, y } = this.#pointer;
    const lane = rowAt(layout, y, scrolled);
    if (lane === -1 || x < layout.gutter) return undefined;
    const per = (now - begin) / (layout.width - layout.gutter);
    const item = hit(picture.items[lane] ?? [], begin + (x - layout.gutter) * per, 4 * per, now);
    return item === undefined ? undefined : { lane, item };
  }

  #point(event: PointerEvent | undefined): void {
    const box = this.#region.getBoundingClientRect();
    this.#pointer = event === undefined ? undefined : { x: event.clientX - box.left, y: event.clientY - box.top };
    this.#dirty();
  }

  #click(event: PointerEvent | MouseEvent): void {
    if (this.#scene === undefined) return;
    const box = this.#region.getBoundingClientRect();
    this.#pointer = { x: event.clientX - box.left, y: event.clientY - box.top };
    const choice = this.#pointed(this.#scene);
    this.#choose(choice);
    if (choice !== undefined) this.#enter(choice.item);
  }

  #key(event: KeyboardEvent): void {
    const scene = this.#scene;
    if (scene === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    const move = moveOf(event.key);
    if (move !== undefined) this.#choose(moved(scene.picture, this.#chosen, move, scene.begin, scene.now));
    else if (event.key === 'Enter' && this.#chosen !== undefined) this.#enter(this.#chosen.item);
    else if (event.key === 'Escape') this.#choose(undefined);
    else return;
    this.#pointer = undefined;
    event.preventDefault();
  }

  #choose(choice: Choice | undefined): void {
    this.#chosen = choice;
    const scene = this.#scene;
    if (scene === undefined) return;
    const row = choice === undefined ? undefined : scene.layout.rows[choice.lane];
    if (row !== undefined) this.#region.scrollTop = scrolledTo(scene.layout, row, scene.scrolled);
    say(byId('spoken', HTMLElement), choice === undefined ? '' : this.#words(scene.picture, choice, scene.now));
    this.#dirty();
  }

  /** Beside a mark, and in the write lane, the lane is not said by the item itself. */
  #words(picture: Picture, { lane, item }: Choice, now: number): string {
    const row = picture.lanes[lane];
    return item.type === 'note' && row !== undefined ? `${laneName(row)}: ${spoken(item, now)}` : spoken(item, now);
  }

  #enter(item: Item): void {
    const lease =
      item.type === 'note' ? item.note.lease : item.type === 'lease' || item.type === 'write' ? item.lease : undefined;
    if (lease === undefined) return;
    this.#tip.hide();
    this.#open(lease);
  }

  #showTip(pointed: Choice | undefined): void {
    const scene = this.#scene;
    const keyboard = document.activeElement === this.#region ? this.#chosen : undefined;
    const choice = pointed ?? keyboard;
    if (scene === undefined || choice === undefined) {
      this.#tip.hide();
      return;
    }
    const box = this.#region.getBoundingClientRect();
    const row = scene.layout.rows[choice.lane];
    const { x, width } = placeOf(scene, choice.item);
    const at = pointed === undefined ? x + Math.min(width, 40) : (this.#pointer?.x ?? 0);
    const scrolled = row !== undefined && row.y >= scene.layout.fixed ? scene.scrolled : 0;
    const bottom = (row === undefined ? 0 : row.y + row.height) - scrolled;
    this.#tip.show(choice.item, scene.now, box.left + at, box.top + bottom + 6, row?.height ?? 0);
  }

  #spanButton(span: number): HTMLButtonElement {
    const button = element('button', '', `${span / 1000} s`);
    button.type = 'button';
    button.setAttribute('aria-pressed', String(span === this.#span));
    button.addEventListener('click', () => {
      this.#span = span;
      for (const each of button.parentElement?.children ?? [])
        each.setAttribute('aria-pressed', String(each === button));
      this.#dirty();
    });
    return button;
  }
}

function stepsOf(view: View, pool: PoolState) {
  return queueSteps(view.ticks, pool.id, view.server.interval);
}
