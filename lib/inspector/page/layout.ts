import type { Lane } from './lanes.ts';

export interface Row {
  readonly lane: Lane;
  /** From the top of the picture, as if nothing were scrolled. */
  readonly y: number;
  readonly height: number;
}

/** Where the lanes are. Pixels of CSS. */
export interface Layout {
  readonly width: number;
  /** Room for the names of the lanes. */
  readonly gutter: number;
  readonly rows: readonly Row[];
  /** Height of what does not scroll, at the top: queue and write lane. */
  readonly fixed: number;
  /** Of the picture without the axis, scrolled to its end. */
  readonly content: number;
  /** Of the axis, at the bottom. */
  readonly axis: number;
  /** Of the picture on the screen, with the axis. */
  readonly view: number;
}

const axis = 22;
const queue = 38;

/** Many connections have thin lanes; beyond `most` pixels they are scrolled. */
export function layoutOf(lanes: readonly Lane[], width: number, most: number): Layout {
  const connections = lanes.filter(({ kind }) => kind !== 'queue' && kind !== 'write').length;
  const height = laneHeight(connections, most - axis - queue - 30);
  const rows: Row[] = [];
  let y = 0;
  let fixed = 0;
  for (const lane of lanes) {
    const own = lane.kind === 'queue' ? queue : lane.kind === 'write' ? Math.max(22, height) : height;
    rows.push({ lane, y, height: own });
    y += own;
    if (lane.kind === 'queue' || lane.kind === 'write') fixed = y;
  }
  // With none open yet there is room for one, so that the panel does not jump when it comes.
  const content = Math.max(y, fixed + height);
  const view = Math.max(Math.min(content, most - axis), fixed + 3 * height) + axis;
  return { width, gutter: width < 520 ? 34 : 72, rows, fixed, content, axis, view: Math.min(view, content + axis) };
}

// Below this a lane is no more than a line: for pools so large that they would be scrolled through for long.
const thinnest = [
  { upTo: 100, height: 12 },
  { upTo: Number.POSITIVE_INFINITY, height: 6 },
];

function laneHeight(connections: number, room: number): number {
  const least = thinnest.find(({ upTo }) => connections <= upTo)?.height ?? 0;
  return Math.max(least, Math.min(28, Math.floor(room / Math.max(1, connections))));
}

/** How far the lanes can be scrolled. */
export function scrollable(layout: Layout): number {
  return Math.max(0, layout.content + layout.axis - layout.view);
}

/** Which row is at a height of the screen. */
export function rowAt(layout: Layout, y: number, scrolled: number): number {
  if (y < 0 || y >= layout.view - layout.axis) return -1;
  const at = y < layout.fixed ? y : y + scrolled;
  return layout.rows.findIndex((row) => at >= row.y && at < row.y + row.height);
}

/** How far to scroll so that a row is seen whole. */
export function scrolledTo(layout: Layout, row: Row, scrolled: number): number {
  if (row.y < layout.fixed) return scrolled;
  const room = layout.view - layout.axis - layout.fixed;
  const y = row.y - layout.fixed;
  return Math.max(Math.min(scrolled, y), y + row.height - room);
}
