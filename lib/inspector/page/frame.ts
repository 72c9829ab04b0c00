import { clockTime } from './format.ts';
import { type Extent, extentOf, gridStep, within, xOf } from './geometry.ts';
import type { Item, NoteItem } from './items.ts';
import type { Layout, Row } from './layout.ts';
import { paintMark } from './marks.ts';
import type { Choice } from './navigate.ts';
import { type Band, bandOf, type Ground, type Look, paintEnded, paintLease, paintWriter } from './painter.ts';
import type { Picture } from './picture.ts';
import type { QueueStep } from './queue.ts';
import type { Strip } from './strip.ts';

/** All that decides about a frame. */
export interface Scene {
  readonly picture: Picture;
  readonly layout: Layout;
  readonly look: Look;
  readonly strip: Strip;
  readonly queue: readonly QueueStep[];
  readonly queueTop: number;
  /** Times at the two edges. */
  readonly begin: number;
  readonly now: number;
  readonly scrolled: number;
  readonly chosen: Choice | undefined;
  readonly pointed: Choice | undefined;
}

/** Paints all of the picture: a copy of what is over, and over it what goes on. */
export function paintFrame(context: CanvasRenderingContext2D, scene: Scene): void {
  const { layout, look, strip, begin, scrolled } = scene;
  const px = (css: number): number => Math.round(css * look.ratio);
  const left = px(layout.gutter);
  const right = px(layout.width);
  const shift = left - Math.round(xOf(strip.scale, begin));
  const ground: Ground = { context, look, scale: strip.scale, shift, left, right };
  const bottom = px(layout.view - layout.axis);
  context.globalAlpha = 1;
  context.fillStyle = look.palette.panel;
  context.fillRect(0, 0, right, px(layout.view));
  paintGrid(ground, scene, bottom);
  paintQueue(ground, scene);
  clipped(context, [0, 0, right, px(layout.fixed)], () => paintRows(ground, scene, 0, layout.fixed, 0));
  clipped(context, [0, px(layout.fixed), right, bottom - px(layout.fixed)], () => {
    paintRows(ground, scene, layout.fixed, layout.content - layout.fixed, scrolled);
  });
  context.fillStyle = look.palette.edge;
  context.fillRect(0, px(layout.fixed) - 1, right, 1);
  context.fillRect(right - Math.max(1, px(1)), 0, Math.max(1, px(1)), bottom);
}

function clipped(context: CanvasRenderingContext2D, area: [number, number, number, number], paint: () => void): void {
  context.save();
  context.beginPath();
  context.rect(...area);
  context.clip();
  paint();
  context.restore();
}

/** The rows from `top` on, `height` of them in all, moved up by `scrolled`. */
function paintRows(ground: Ground, scene: Scene, top: number, height: number, scrolled: number): void {
  const { context, look, left, right, shift } = ground;
  const { strip, layout } = scene;
  const y = Math.round(top * look.ratio);
  const high = Math.min(Math.round(height * look.ratio), strip.canvas.height - y);
  const up = Math.round(scrolled * look.ratio);
  const rows = [...layout.rows.entries()].filter(([, row]) => row.y >= top && row.y < top + height);
  for (const [, row] of rows) {
    context.fillStyle = look.palette.grid;
    context.fillRect(0, Math.round((row.y + row.height) * look.ratio) - up - 1, right, 1);
  }
  // What the strip has of the part that is shown.
  const from = Math.max(0, left - shift);
  const wide = Math.min(strip.canvas.width - from, right - (from + shift));
  if (wide > 0 && high > 0) {
    context.drawImage(strip.canvas, from, y, wide, high, from + shift, y - up, wide, high);
  }
  for (const [index, row] of rows) {
    const band = bandOf(row.y - up / look.ratio, row.height, look.ratio);
    paintCut(ground, scene, band, scene.picture.items[index] ?? []);
    for (const item of scene.picture.live[index] ?? []) {
      if (item.from > scene.now) continue;
      if (item.type === 'lease') paintLease(ground, band, item, scene.now);
      if (item.type === 'write') paintWriter(ground, band, item.from, Math.min(item.to, scene.now), item.label);
    }
    paintMarks(ground, scene.picture.notes[index] ?? [], scene.now, markPlace(row) * look.ratio - up);
    paintName(ground, row, up);
  }
  for (const [choice, colour] of [
    [scene.pointed, look.palette.edge],
    [scene.chosen, look.palette.accent],
  ] as const) {
    const row = choice === undefined ? undefined : rows.find(([index]) => index === choice.lane)?.[1];
    if (choice !== undefined && row !== undefined) paintOutline(ground, scene, row, choice.item, colour, up);
  }
}

/** What the left edge cuts, painted again over its copy: with its label at the edge, where it can be read. */
function paintCut(ground: Ground, { begin }: Scene, band: Band, items: readonly Item[]): void {
  for (const item of items) {
    if (item.from >= begin) return;
    if (item.to > begin) paintEnded(ground, band, item);
  }
}

function paintOutline(ground: Ground, scene: Scene, row: Row, item: Item, colour: string, up: number): void {
  const { context, look, left, right } = ground;
  const extent = extentOf(ground.scale, item.from, Math.min(item.to, scene.now));
  const own = item.type === 'note' ? { ...extent, x: extent.x - 7 * look.ratio, width: 14 * look.ratio } : extent;
  const seen = within({ ...own, x: own.x + ground.shift }, left, right);
  if (seen === undefined) return;
  const line = Math.max(2, Math.round(2 * look.ratio));
  const y = Math.round(row.y * look.ratio) - up;
  context.strokeStyle = colour;
  context.lineWidth = line;
  context.strokeRect(seen.x - line / 2, y + line / 2, seen.width + line, Math.round(row.height * look.ratio) - line);
}

/** At the upper edge, beside the labels; of a thin row in the middle. */
function markPlace({ y, height, lane }: Row): number {
  if (lane.kind === 'queue') return y + 12;
  return height < 20 ? y + height / 2 : y + 5.5;
}

function paintMarks(ground: Ground, items: readonly NoteItem[], now: number, y: number): void {
  const { context, look, scale, shift, left, right } = ground;
  const size = 3.4 * look.ratio;
  let last = Number.NEGATIVE_INFINITY;
  for (const item of items) {
    if (item.from > now) continue;
    const x = Math.round(xOf(scale, item.from)) + shift;
    // Where there are thousands, those that would lie on one another are one.
    if (x < left || x > right || x - last < size * 0.75) continue;
    last = x;
    paintMark(look, context, item.note.kind, x, y, size);
  }
}

/** As an area: those who wait for a connection, and on top of it those who wait for the lane. */
function paintQueue(ground: Ground, scene: Scene): void {
  const { context, look, scale, shift, left, right } = ground;
  const row = scene.layout.rows[0];
  if (row === undefined) return;
  const foot = Math.round((row.y + row.height) * look.ratio) - 1;
  const high = (row.height - 4) * look.ratio;
  for (const step of scene.queue) {
    const extent = extentOf(scale, step.from, Math.min(step.to, scene.now));
    const seen = step.from > scene.now ? undefined : within({ ...extent, x: extent.x + shift }, left, right);
    if (seen === undefined) continue;
    const first = Math.round((step.waiting / scene.queueTop) * high);
    const all = Math.round(((step.waiting + step.laneWaiting) / scene.queueTop) * high);
    context.fillStyle = look.palette.wait;
    context.fillRect(seen.x, foot - first, seen.width, first);
    context.fillStyle = look.hatch;
    context.fillRect(seen.x, foot - all, seen.width, all - first);
    context.fillStyle = look.palette.wait;
    context.fillRect(seen.x, foot - all, seen.width, Math.max(1, Math.round(look.ratio)));
  }
  if (scene.queue.length === 0) return;
  // What the height stands for.
  context.fillStyle = look.palette.edge;
  context.fillRect(left, foot - Math.round(high), right - left, 1);
  context.font = look.small;
  context.textBaseline = 'top';
  const text = `${scene.queueTop} waiting`;
  const [x, y, size] = [left + 3 * look.ratio, foot - high + 2 * look.ratio, 11 * look.ratio];
  // The area behind it would swallow the words.
  context.fillStyle = look.palette.panel;
  context.fillRect(x - 2 * look.ratio, y, context.measureText(text).width + 4 * look.ratio, size);
  context.fillStyle = look.palette.muted;
  context.fillText(text, x, y);
}

/** Lines at full seconds, which move with what they measure. */
function paintGrid(ground: Ground, { begin, now, layout }: Scene, bottom: number): void {
  const { context, look, scale, shift, left, right } = ground;
  const step = gridStep(now - begin, layout.width - layout.gutter);
  context.font = look.font;
  context.textBaseline = 'middle';
  context.textAlign = 'center';
  for (let at = Math.ceil(begin / step) * step; at <= now; at += step) {
    const x = Math.round(xOf(scale, at)) + shift;
    if (x < left) continue;
    context.fillStyle = look.palette.grid;
    context.fillRect(x, 0, 1, bottom);
    const text = step < 1000 ? `${clockTime(at)}.${Math.floor((at % 1000) / 100)}` : clockTime(at);
    const half = context.measureText(text).width / 2;
    if (x - half < left || x + half > right - 34 * look.ratio) continue;
    context.fillStyle = look.palette.muted;
    context.fillText(text, x, bottom + (layout.axis / 2) * look.ratio);
  }
  context.textAlign = 'right';
  context.fillStyle = look.palette.ink;
  context.fillText('now', right - 2 * look.ratio, bottom + (layout.axis / 2) * look.ratio);
  context.textAlign = 'left';
}

function paintName(ground: Ground, { lane, y, height }: Row, up: number): void {
  const { context, look } = ground;
  const narrow = ground.left < 60 * look.ratio;
  const long = { queue: 'queue', write: 'writing', others: 'others', connection: `${lane.connection}` }[lane.kind];
  const short = { queue: 'que', write: 'wrt', others: '…', connection: `${lane.connection}` }[lane.kind];
  // Of lanes too thin for a name each, some have one.
  if (height < 10 && lane.connection !== undefined && lane.connection % 10 !== 0) return;
  context.font = height < 16 ? look.small : look.font;
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  context.globalAlpha = lane.open ? 1 : 0.6;
  context.fillStyle = look.palette.muted;
  context.fillText(narrow ? short : long, ground.left - 7 * look.ratio, (y + height / 2) * look.ratio - up);
  context.globalAlpha = 1;
  context.textAlign = 'left';
}

/** Where on the screen an item is, in pixels of CSS beside the left edge; of a long one the part that is seen. */
export function placeOf(scene: Scene, item: Item): Extent {
  const { layout, begin, now } = scene;
  const per = (layout.width - layout.gutter) / (now - begin);
  const x = layout.gutter + Math.max(0, item.from - begin) * per;
  const end = layout.gutter + Math.max(0, Math.min(item.to, now) - begin) * per;
  return { x, width: Math.max(1, end - x), cover: 1 };
}
