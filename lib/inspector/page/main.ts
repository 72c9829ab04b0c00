import type { PoolState } from '../wire.ts';
import { baseOf, leaseAddress } from './address.ts';
import { Animation } from './animation.ts';
import { browser } from './browser.ts';
import { playhead, ServerClock } from './clock.ts';
import { Detail } from './detail.ts';
import { byId, say } from './dom.ts';
import { Gauges } from './gauges.ts';
import { Header, showLink } from './header.ts';
import { Link, type LinkState } from './link.ts';
import { List } from './list.ts';
import { apply, type View } from './store.ts';
import { Tables } from './tables.ts';
import { startTheme } from './theme.ts';
import { Timeline } from './timeline.ts';
import { Trends } from './trends.ts';

const base = baseOf(location);
const clock = new ServerClock();
/** What is known, and what is shown: the same but while it is paused. */
let view: View | undefined;
let frozen: { readonly view: View; readonly now: number } | undefined;
let chosenPool: number | undefined;
let linkState: LinkState = { kind: 'connecting' };
let heard: number | undefined;
/** The view whose texts are written. */
let written: View | undefined;

const animation = new Animation(draw, () => frozen === undefined && timeline.moving && !silent());
const detail = new Detail((pool, lease) => leaseAddress(base, pool, lease));
const open = (lease: number): void => {
  const shown = shownPool();
  if (shown !== undefined) void detail.show(shown.id, lease, () => view?.server.now ?? 0);
};
const timeline = new Timeline(open, () => animation.draw());
const header = new Header((pool) => {
  chosenPool = pool;
  timeline.forget();
  written = undefined;
  animation.draw();
});
const gauges = new Gauges();
const trends = new Trends();
const tables = new Tables(open);
const list = new List(open, rewrite);

const link = new Link(base, browser, {
  take(report) {
    const local = performance.now();
    const applied = apply(view, report);
    if (applied.incomplete) link.complete();
    if (applied.view === view) return;
    if (applied.view?.server.id !== view?.server.id) {
      // The numbers of its pools are those of other pools.
      clock.forget();
      timeline.forget();
      chosenPool = undefined;
    }
    view = applied.view;
    heard = local;
    clock.sample(report.server.now, local);
    animation.draw();
  },
  known() {
    const tick = view?.ticks.at(-1)?.number;
    return view === undefined || tick === undefined ? undefined : { tick, server: view.server.id };
  },
  state(state) {
    linkState = state;
    showState();
  },
});

function showState(): void {
  showLink(linkState, quiet(), shownPool()?.closed ?? false);
}

function quiet(): number | undefined {
  return heard === undefined ? undefined : performance.now() - heard;
}

function silent(): boolean {
  return (quiet() ?? 0) >= 3000;
}

function shownPool(): PoolState | undefined {
  const pools = (frozen?.view ?? view)?.pools ?? [];
  return pools.find(({ id }) => id === chosenPool) ?? pools[0];
}

function rewrite(): void {
  written = undefined;
  animation.draw();
}

function nowOf(known: View): number {
  const { now, interval } = known.server;
  return playhead(clock.now(performance.now()) ?? now, now, interval);
}

/** A frame; texts are written only with what is told anew. */
function draw(): void {
  const shown = frozen?.view ?? view;
  const pool = shownPool();
  if (shown === undefined || pool === undefined) return;
  timeline.draw(shown, pool, frozen?.now ?? nowOf(shown));
  if (shown === written) return;
  written = shown;
  // Each on its own, so that no frame waits for all of them.
  const parts = [
    () => header.update(shown.server, shown.pools, pool),
    () => gauges.update(pool, shown.ticks),
    () => trends.update(shown, pool),
    () => tables.update(shown, pool),
    () => list.update(shown, pool),
    showState,
  ];
  for (const part of parts) setTimeout(part);
}

const pause = byId('pause', HTMLButtonElement);
pause.addEventListener('click', () => {
  frozen = frozen === undefined && view !== undefined ? { view, now: nowOf(view) } : undefined;
  pause.setAttribute('aria-pressed', String(frozen !== undefined));
  say(pause, frozen === undefined ? 'Pause' : 'Paused');
  rewrite();
});

startTheme(byId('theme', HTMLButtonElement), () => timeline.recolour());
// That nothing comes is told by nothing that comes.
setInterval(showState, 1000);
link.start();

// Of connections to one server a browser has six. A page that nobody sees is not to keep one of them from others.
const unseenFor = 5000;
let resting: number | undefined;
document.addEventListener('visibilitychange', () => {
  clearTimeout(resting);
  if (document.hidden) resting = setTimeout(() => link.stop(), unseenFor);
  else link.start();
});
