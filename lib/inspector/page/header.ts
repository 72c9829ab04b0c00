import type { PoolState, Server } from '../wire.ts';
import { byId, element, isolated, say } from './dom.ts';
import { longDuration, oneLine } from './format.ts';
import type { LinkState } from './link.ts';
import { conditionOf } from './words.ts';

/** Whose pools these are, which one is shown, and whether what is shown is true still. */
export class Header {
  readonly #pools = byId('pools', HTMLElement);
  readonly #choose: (pool: number) => void;
  #ids = '';

  constructor(choose: (pool: number) => void) {
    this.#choose = choose;
  }

  update(server: Server, pools: readonly PoolState[], shown: PoolState): void {
    const name = oneLine(shown.name);
    say(byId('title', HTMLElement), pools.length > 1 ? 'Leasehold' : name);
    const { words } = conditionOf(shown);
    document.title = `${name}: ${shown.leased} of ${shown.max}, ${words}`;
    say(
      byId('process', HTMLElement),
      `pid ${server.pid} · node ${oneLine(server.node, 30)} · up ${longDuration(server.uptime)}`,
    );
    this.#pools.hidden = pools.length < 2;
    const ids = [server.id, ...pools.map(({ id, name: each }) => `${id} ${each}`)].join();
    if (ids !== this.#ids) {
      this.#ids = ids;
      this.#pools.replaceChildren(...pools.map((pool) => this.#button(pool)));
    }
    for (const [index, pool] of pools.entries()) {
      const button = this.#pools.children[index];
      const state = button?.lastElementChild;
      if (button === undefined || state === undefined || state === null) continue;
      if (pool.id === shown.id) button.setAttribute('aria-current', 'true');
      else button.removeAttribute('aria-current');
      say(state, pool.closed ? 'closed' : `${pool.leased}/${pool.max}${pool.full ? ' full' : ''}`);
    }
  }

  #button({ id, name }: PoolState): HTMLButtonElement {
    const button = element('button');
    button.type = 'button';
    button.append(isolated(oneLine(name, 60)), element('small'));
    button.addEventListener('click', () => this.#choose(id));
    return button;
  }
}

/** In words, and with a shape of its own for each state. */
export function showLink(link: LinkState, silent: number | undefined, closed: boolean): void {
  const place = byId('link', HTMLElement);
  const trouble = byId('trouble', HTMLElement);
  const failed = link.kind === 'refused' || link.kind === 'failing';
  const stale = silent !== undefined && silent >= 3000;
  place.dataset['kind'] = failed ? link.kind : stale ? 'stale' : closed ? 'closed' : link.kind;
  const silence = stale ? [`stale for ${Math.floor(silent / 1000)} s`] : [];
  const fine = stale ? [] : closed ? ['pool closed'] : [link.kind];
  say(place, [...(failed ? [link.kind] : fine), ...silence].join(', '));
  // Without the seconds, which would be spoken one by one.
  say(byId('link-spoken', HTMLElement), stale ? 'stale' : (fine[0] ?? ''));
  trouble.hidden = !failed;
  say(trouble, failed ? link.words : '');
}
