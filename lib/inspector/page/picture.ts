import type { PoolState } from '../wire.ts';
import { heldBy, type Item, itemsOf, type NoteItem, writesOf } from './items.ts';
import { type Lane, laneFinder, lanesOf } from './lanes.ts';
import type { View } from './store.ts';

/** The lanes of a pool, and what is in each, in the order of time. */
export interface Picture {
  readonly lanes: readonly Lane[];
  readonly items: readonly (readonly Item[])[];
  /** Of these what goes on, or is known only by looking: it is painted with every frame. */
  readonly live: readonly (readonly Item[])[];
  /** Those that have a mark: the second of the same kind on a lease says nothing that the first did not. */
  readonly notes: readonly (readonly NoteItem[])[];
}

const pictures = new WeakMap<View, Map<number, Picture>>();

/** Made once for each view: it is asked for with every move of the mouse. */
export function pictureOf(view: View, pool: PoolState): Picture {
  const known = pictures.get(view) ?? new Map<number, Picture>();
  pictures.set(view, known);
  const picture = known.get(pool.id) ?? made(view, pool);
  known.set(pool.id, picture);
  return picture;
}

function made(view: View, pool: PoolState): Picture {
  const lanes = lanesOf(view, pool);
  const items = lanes.map((): Item[] => []);
  const live = lanes.map((): Item[] => []);
  const notes = lanes.map((): NoteItem[] => []);
  const laneOf = laneFinder(lanes);
  const marked = new Set<string>();
  const writeLane = lanes.findIndex(({ kind }) => kind === 'write');
  const { interval, now } = view.server;
  let before = (view.ticks[0]?.at ?? now) - interval;
  for (const { at, number, pools } of view.ticks) {
    const part = pools.find((each) => each.pool === pool.id);
    if (part !== undefined) {
      const tick = itemsOf(part, [before, at], number);
      items[0]?.push(...tick.queue);
      items[writeLane]?.push(...tick.write);
      for (const lease of tick.leases) items[laneOf(lease.connection)]?.push(lease);
      for (const rest of tick.rest) items[laneOf(rest.rest.connection)]?.push(rest);
      for (const note of tick.notes) {
        const { connection } = note.note;
        const lane = connection === undefined ? 0 : Math.max(0, laneOf(connection));
        items[lane]?.push(note);
        const told = `${note.note.kind} ${note.note.lease}`;
        if (note.note.lease === undefined || !marked.has(told)) notes[lane]?.push(note);
        marked.add(told);
      }
    }
    before = at;
  }
  for (const holder of pool.holders) {
    const held = heldBy(holder, now);
    live[laneOf(holder.connection)]?.push(held);
    live[writeLane]?.push(...writesOf(held));
  }
  live[writeLane]?.push(...strangersOf(view, pool));
  for (const [index, list] of items.entries()) list.push(...(live[index] ?? []));
  for (const list of items) list.sort((a, b) => a.from - b.from || a.to - b.to);
  return { lanes, items, live, notes };
}

function strangersOf(view: View, pool: PoolState): readonly Item[] {
  return (view.strangers.get(pool.id) ?? []).map(({ from, to, holder }) => {
    const last = to === view.server.now ? Number.POSITIVE_INFINITY : to;
    const { label, lease } = holder;
    const key = `s${Math.round(from)}`;
    return { type: 'write', key, from, to: last, tick: Number.POSITIVE_INFINITY, lease, label, stranger: holder };
  });
}
