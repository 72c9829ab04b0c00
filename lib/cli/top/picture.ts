import type { PoolState, Server } from '../../inspector/wire.ts';
import { visible } from '../text.ts';
import type { Link } from './feed.ts';
import type { Part, Row } from './glyphs.ts';
import type { History } from './history.ts';
import { type Block, cutRow, fitting, inCells, rowWidth, spaced } from './layout.ts';
import { poolBlocks } from './pool-picture.ts';
import { clockTime, formatUptime } from './times.ts';

export interface View {
  readonly width: number;
  readonly height: number;
  /** Of the inspector. */
  readonly address: string;
  readonly link: Link;
  /** Time of day, by the clock here, since which the link is as it is. */
  readonly linkSince: number;
}

/** What is known, as rows that fit. */
export function pictureOf(history: History, view: View): Row[] {
  const { server, pools } = history;
  if (server === undefined) return [titleRow(undefined, pools, view)];
  const blocks: Block[] = [{ rank: 0, rows: [titleRow(server, pools, view)] }];
  const trouble = troubleOf(view);
  if (trouble !== undefined) blocks.push({ rank: 0, rows: [[{ text: trouble, style: 'alarm' }]] });
  for (const pool of pools) {
    if (pools.length > 1) blocks.push({ rank: 0.5, rows: [poolHeading(pool, view.width)] });
    blocks.push(...poolBlocks(pool, history, server.now, view.width));
  }
  return fitting(blocks, view.height);
}

function titleRow(
  server: Server | undefined,
  pools: readonly PoolState[],
  { width, address, link, linkSince }: View,
): Row {
  const right: Row = [states[link.state], { text: ` ${clockTime(server?.now ?? linkSince)}` }];
  const only = pools.length === 1 ? pools[0] : undefined;
  const name: Part = { text: only === undefined ? `${pools.length} pools` : visible(only.name), style: 'bold' };
  const about =
    server === undefined
      ? []
      : [`pid ${server.pid}`, `up ${formatUptime(server.uptime)}`, `node ${visible(server.node)}`];
  // As much as there is room for, the address first.
  let left: Row = [name];
  for (const text of [visible(address), ...about]) {
    const longer = spaced(left, { text, style: 'dim' });
    if (rowWidth(longer) + 2 + rowWidth(right) > width) break;
    left = longer;
  }
  const room = Math.max(0, width - rowWidth(right) - 1);
  return cutRow([...inCells({ row: left, width: room }), { text: ' ' }, ...right], width);
}

/** Beside the time of what is shown. */
const states = {
  live: { text: 'live', style: 'green' },
  polling: { text: 'polling', style: 'yellow' },
  silent: { text: 'SILENT', style: 'alarm' },
  lost: { text: 'LOST', style: 'alarm' },
} as const satisfies Record<Link['state'], Part>;

function troubleOf({ link, linkSince }: View): string | undefined {
  if (link.state === 'lost') return `Lost at ${clockTime(linkSince)}: ${visible(link.reason)}. Trying again.`;
  if (link.state === 'silent') return `Nothing has come since ${clockTime(linkSince)}: its event loop may be blocked.`;
  return undefined;
}

function poolHeading({ name }: PoolState, width: number): Row {
  const row: Row = [{ text: '── ', style: 'dim' }, { text: visible(name), style: 'bold' }, { text: ' ' }];
  return [...row, { text: '─'.repeat(Math.max(0, width - rowWidth(row))), style: 'dim' }];
}
