import type { Item } from './items.ts';
import type { Picture } from './picture.ts';

export interface Choice {
  readonly lane: number;
  readonly item: Item;
}

export type Move = 'left' | 'right' | 'up' | 'down' | 'first' | 'last' | 'page left' | 'page right';

// How far a page is: so many items.
const page = 20;

/** Where a key leads to from `chosen`, among what lies between `begin` and `now`; `chosen` itself where there is nothing further. */
export function moved(
  picture: Picture,
  chosen: Choice | undefined,
  move: Move,
  begin: number,
  now: number,
): Choice | undefined {
  const inView = (lane: number): readonly Item[] =>
    (picture.items[lane] ?? []).filter((item) => item.to >= begin && item.from <= now);
  if (chosen === undefined) return entered(picture, inView, now);
  const { lane, item } = chosen;
  if (move === 'up' || move === 'down') {
    const step = move === 'up' ? -1 : 1;
    for (let next = lane + step; next >= 0 && next < picture.lanes.length; next += step) {
      const found = nearest(inView(next), middleOf(item, begin, now), begin, now);
      if (found !== undefined) return { lane: next, item: found };
    }
    return chosen;
  }
  const items = inView(lane);
  const at = items.findIndex(({ key }) => key === item.key);
  // It has left the view at the left: the first that is there follows it.
  if (at === -1) return items[0] === undefined ? entered(picture, inView, now) : { lane, item: items[0] };
  const next = items[Math.max(0, Math.min(items.length - 1, target(move, at, items.length)))];
  return next === undefined ? chosen : { lane, item: next };
}

function target(move: Exclude<Move, 'up' | 'down'>, at: number, length: number): number {
  const targets = {
    left: at - 1,
    right: at + 1,
    first: 0,
    last: length - 1,
    'page left': at - page,
    'page right': at + page,
  };
  return targets[move];
}

/** What happened last on a connection, else in whichever lane has something. */
function entered(picture: Picture, inView: (lane: number) => readonly Item[], now: number): Choice | undefined {
  const order = picture.lanes.map((_, lane) => lane);
  const connections = order.filter((lane) => picture.lanes[lane]?.kind === 'connection');
  let best: Choice | undefined;
  for (const lane of connections.length > 0 ? connections : order) {
    const item = inView(lane).at(-1);
    if (item !== undefined && (best === undefined || Math.min(item.to, now) > Math.min(best.item.to, now)))
      best = { lane, item };
  }
  if (best !== undefined) return best;
  for (const lane of order) {
    const item = inView(lane).at(-1);
    if (item !== undefined) return { lane, item };
  }
  return undefined;
}

function nearest(items: readonly Item[], at: number, begin: number, now: number): Item | undefined {
  let best: Item | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const item of items) {
    const distance = Math.max(0, Math.max(item.from, begin) - at, at - Math.min(item.to, now));
    if (distance < least) {
      least = distance;
      best = item;
    }
  }
  return best;
}

/** Of the part that is seen. */
function middleOf(item: Item, begin: number, now: number): number {
  return (Math.max(begin, Math.min(item.from, now)) + Math.max(begin, Math.min(item.to, now))) / 2;
}

/** The same thing in a later picture; `undefined` once it has left it. */
export function followed(picture: Picture, chosen: Choice | undefined): Choice | undefined {
  if (chosen === undefined) return undefined;
  const { key } = chosen.item;
  // Mostly its lane is where it was.
  const lanes = [chosen.lane, ...picture.lanes.keys()];
  for (const lane of lanes) {
    const item = picture.items[lane]?.find((each) => each.key === key);
    if (item !== undefined) return { lane, item };
  }
  return undefined;
}

const keys: Readonly<Record<string, Move>> = {
  ArrowLeft: 'left',
  ArrowRight: 'right',
  ArrowUp: 'up',
  ArrowDown: 'down',
  Home: 'first',
  End: 'last',
  PageUp: 'page left',
  PageDown: 'page right',
};

export function moveOf(key: string): Move | undefined {
  return Object.hasOwn(keys, key) ? keys[key] : undefined;
}
