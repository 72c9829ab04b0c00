import { type Scale, timeAt, xOf } from './geometry.ts';
import type { Layout } from './layout.ts';
import { bandOf, type Ground, type Look, paintEnded, paintRest, paintWait } from './painter.ts';
import type { Picture } from './picture.ts';
import type { View } from './store.ts';

// How much wider than what is shown: it is shifted once that is used up.
const slack = 1.5;

/**
 * What has happened, painted once, on a canvas that is copied to the screen with every frame. Leases that have ended are told
 * once and never change, so a report costs what is new, and a frame costs a copy.
 */
export class Strip {
  readonly canvas = document.createElement('canvas');
  readonly #context = this.canvas.getContext('2d') as CanvasRenderingContext2D;
  #scale: Scale = { origin: 0, perMillisecond: 1 };
  #made = '';
  #look: Look | undefined;
  /** Number of the last tick that is painted. */
  #tick = -1;

  get scale(): Scale {
    return this.#scale;
  }

  /** Paints what is new, or all, where anything is otherwise than before. */
  update(view: View, pool: number, picture: Picture, layout: Layout, look: Look, span: number, begin: number): void {
    const plot = Math.round((layout.width - layout.gutter) * look.ratio);
    const rows = layout.rows.map((row) => `${row.lane.key}:${row.height}`).join();
    const made = [view.epoch, pool, plot, look.ratio, span, rows].join(' ');
    if (made !== this.#made || look !== this.#look) {
      this.canvas.width = Math.max(1, Math.ceil(plot * slack));
      this.canvas.height = Math.max(1, Math.round(layout.content * look.ratio));
      this.#scale = { origin: begin, perMillisecond: plot / span };
      this.#made = made;
      this.#look = look;
      this.#tick = -1;
    } else if (view.server.now > timeAt(this.#scale, this.canvas.width)) {
      this.#shift(begin);
    }
    const last = view.ticks.at(-1)?.number ?? -1;
    if (last === this.#tick) return;
    this.#paint(picture, layout, look);
    this.#tick = last;
  }

  /** By whole pixels, so that nothing blurs. */
  #shift(begin: number): void {
    const by = Math.min(Math.floor(xOf(this.#scale, begin)), this.canvas.width);
    if (by <= 0) return;
    const context = this.#context;
    context.globalCompositeOperation = 'copy';
    context.drawImage(this.canvas, -by, 0);
    context.globalCompositeOperation = 'source-over';
    const { origin, perMillisecond } = this.#scale;
    this.#scale = { origin: origin + by / perMillisecond, perMillisecond };
  }

  #paint(picture: Picture, layout: Layout, look: Look): void {
    const edges = { shift: 0, left: 0, right: this.canvas.width };
    const ground: Ground = { context: this.#context, look, scale: this.#scale, ...edges };
    for (const [index, row] of layout.rows.entries()) {
      if (row.lane.kind === 'queue') continue;
      const band = bandOf(row.y, row.height, look.ratio);
      const fresh = (picture.items[index] ?? []).filter(({ tick, to }) => tick > this.#tick && to > this.#scale.origin);
      for (const item of fresh) paintEnded(ground, band, item);
      // Below all that is there, so after it.
      for (const item of fresh) if (item.type === 'rest') paintRest(ground, band, item);
      for (const item of fresh) if (item.type === 'lease') paintWait(ground, band, item);
    }
  }
}
