import { labelOf } from './format.ts';
import { type Extent, extentOf, fitted, type Scale, within } from './geometry.ts';
import type { Item, LeaseItem, RestItem } from './items.ts';
import type { Palette } from './palette.ts';

/** How things look. Everything is in pixels of the screen, of which there are `ratio` for one of CSS. */
export interface Look {
  readonly palette: Palette;
  readonly ratio: number;
  readonly hatch: CanvasPattern | string;
  readonly font: string;
  /** For lanes that are too thin for the other. */
  readonly small: string;
}

/** Where it is painted: a row, between two edges. */
export interface Ground {
  readonly context: CanvasRenderingContext2D;
  readonly look: Look;
  readonly scale: Scale;
  /** Added to every x of `scale`. */
  readonly shift: number;
  readonly left: number;
  readonly right: number;
}

export interface Band {
  readonly y: number;
  readonly height: number;
  /** Of the line below it that says for how long it was waited. */
  readonly wait: number;
}

// Below these a label is not legible, or says nothing.
const lowest = 12;
const narrowest = 34;
const widths = new Map<string, number>();
const mostWidths = 2_000;

/** The part of a row in which leases are, and the line below it. */
export function bandOf(y: number, height: number, ratio: number): Band {
  const roomy = height >= 20;
  const top = Math.round((y + (roomy ? 2 : 1)) * ratio);
  const wait = Math.round((roomy ? 3 : 2) * ratio);
  const end = Math.round((y + height - (roomy ? 2 : 1)) * ratio);
  return { y: top, height: Math.max(1, end - top - wait), wait };
}

/** Lines that slant: a stretch in which it was waited for something. */
export function hatchOf(context: CanvasRenderingContext2D, colour: string, ratio: number): CanvasPattern | string {
  const size = Math.round(6 * ratio);
  const tile = new OffscreenCanvas(size, size);
  const pen = tile.getContext('2d');
  if (pen === null) return colour;
  pen.strokeStyle = colour;
  pen.lineWidth = Math.max(1, ratio * 1.1);
  pen.beginPath();
  for (const at of [-size, 0, size]) {
    pen.moveTo(at, size);
    pen.lineTo(at + size, 0);
  }
  pen.stroke();
  return context.createPattern(tile, 'repeat') ?? colour;
}

function placed(ground: Ground, from: number, to: number): Extent | undefined {
  const extent = extentOf(ground.scale, from, to);
  return within({ ...extent, x: extent.x + ground.shift }, ground.left, ground.right);
}

/** How long it was waited for: below what is there already, and as a line under it. */
export function paintWait(ground: Ground, band: Band, { from, waited }: Pick<LeaseItem, 'from' | 'waited'>): void {
  const extent = waited > 0 ? placed(ground, from - waited, from) : undefined;
  // Less than a pixel says nothing.
  if (extent === undefined || (extent.width === 1 && extent.cover < 0.5)) return;
  const { context, look } = ground;
  context.globalCompositeOperation = 'destination-over';
  context.fillStyle = look.palette.wait;
  context.fillRect(extent.x, band.y + band.height, extent.width, band.wait);
  context.fillStyle = look.hatch;
  context.fillRect(extent.x, band.y, extent.width, band.height);
  context.globalCompositeOperation = 'source-over';
}

/** A lease: its body, snapshots at its foot, transactions that could write over all of it. */
export function paintLease(ground: Ground, band: Band, item: LeaseItem, now: number): void {
  const { context, look } = ground;
  const body = placed(ground, item.from, Math.min(item.to, now));
  if (body === undefined) return;
  const { palette, ratio } = look;
  if (body.cover < 1) context.globalAlpha = 0.35 + 0.65 * body.cover;
  const line = Math.max(1, Math.round(ratio));
  context.fillStyle = palette['held-edge'];
  context.fillRect(body.x, band.y, body.width, band.height);
  if (body.width > 3 * line) {
    context.fillStyle = palette.held;
    context.fillRect(body.x + line, band.y + line, body.width - 2 * line, band.height - 2 * line);
  }
  const foot = Math.max(1, Math.round(Math.min(3, band.height / (3 * ratio)) * ratio));
  context.fillStyle = palette.read;
  for (const span of item.reads) {
    const part = placed(ground, span[0], Math.min(span[1], now));
    if (part !== undefined) context.fillRect(part.x, band.y + band.height - foot, part.width, foot);
  }
  paintLabel(ground, band, body, item.label, palette['held-ink']);
  for (const span of item.writes) {
    const part = placed(ground, span[0], Math.min(span[1], now));
    if (part !== undefined) paintWrite(ground, band, part, body, item.label);
  }
  context.globalAlpha = 1;
}

/** Somebody held the write lane. */
export function paintWriter(ground: Ground, band: Band, from: number, to: number, label: string | undefined): void {
  const body = placed(ground, from, to);
  if (body === undefined) return;
  if (body.cover < 1) ground.context.globalAlpha = 0.35 + 0.65 * body.cover;
  paintWrite(ground, band, body, body, label);
  ground.context.globalAlpha = 1;
  parted(ground, band, body);
}

/** One that is over; what goes on is painted as far as it has come, with every frame. */
export function paintEnded(ground: Ground, band: Band, item: Item): void {
  if (item.tick === Number.POSITIVE_INFINITY) return;
  if (item.type === 'lease') paintLease(ground, band, item, item.to);
  else if (item.type === 'write') paintWriter(ground, band, item.from, item.to, item.label);
}

/** The label lies where that of the whole lease does, in a colour that is legible here. */
function paintWrite(
  { context, look, ...edges }: Ground,
  band: Band,
  part: Extent,
  body: Extent,
  label: string | undefined,
): void {
  context.fillStyle = look.palette.write;
  context.fillRect(part.x, band.y, part.width, band.height);
  if (part.width < 4 || body.width < narrowest * look.ratio || band.height < lowest * look.ratio) return;
  context.save();
  context.beginPath();
  context.rect(part.x, band.y, part.width, band.height);
  context.clip();
  paintLabel({ context, look, ...edges }, band, body, label, look.palette['write-ink']);
  context.restore();
}

/** A gap at the left end, so that two leases without a pause between them are two. */
function parted({ context, look }: Ground, band: Band, body: Extent): void {
  if (body.width < 5) return;
  context.fillStyle = look.palette.panel;
  context.fillRect(body.x, band.y, Math.max(1, Math.round(look.ratio / 2)), band.height);
}

function paintLabel(
  { context, look }: Ground,
  band: Band,
  body: Extent,
  label: string | undefined,
  colour: string,
): void {
  const { ratio, font } = look;
  if (label === undefined || body.width < narrowest * ratio || band.height < lowest * ratio) return;
  context.font = font;
  const text = fitted(labelOf(label, 80), body.width - 8 * ratio, (part) => widthOf(context, part));
  if (text === '') return;
  context.fillStyle = colour;
  context.textBaseline = 'middle';
  context.fillText(text, body.x + 5 * ratio, band.y + band.height / 2 + ratio * 0.5);
}

function widthOf(context: CanvasRenderingContext2D, text: string): number {
  const key = context.font + text;
  const known = widths.get(key);
  if (known !== undefined) return known;
  if (widths.size >= mostWidths) widths.clear();
  const { width } = context.measureText(text);
  widths.set(key, width);
  return width;
}

/** Short leases as a column: as high as they took of the tick, and the darker the more of it could write. */
export function paintRest(ground: Ground, band: Band, { from, to, rest }: RestItem): void {
  const extent = placed(ground, from, to);
  if (extent === undefined) return;
  const { context, look } = ground;
  const tick = Math.max(1, to - from);
  const high = (part: number): number => Math.round(Math.min(1, part / tick) * band.height);
  const wrote = rest.wrote > 0 ? Math.max(1, high(rest.wrote)) : 0;
  const held = Math.max(1, wrote, high(rest.held));
  const foot = band.y + band.height;
  // Of what lies below, the first that is painted is on top.
  context.globalCompositeOperation = 'destination-over';
  context.fillStyle = look.palette.write;
  context.fillRect(extent.x, foot - wrote, extent.width, wrote);
  context.fillStyle = look.palette.rest;
  context.fillRect(extent.x, foot - held, extent.width, held);
  context.globalCompositeOperation = 'source-over';
}
