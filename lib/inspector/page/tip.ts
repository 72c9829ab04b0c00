import { byId, element, isolated, say } from './dom.ts';
import type { Item } from './items.ts';
import { tip } from './words.ts';

/** What is said beside the pointer. */
export class Tip {
  readonly #box = byId('tip', HTMLElement);
  #shown = '';

  hide(): void {
    this.#box.hidden = true;
    this.#shown = '';
  }

  /** Below a row of `height` that ends at `y`, or above it where there is no room. */
  show(item: Item, now: number, x: number, y: number, height: number): void {
    const { title, lines } = tip(item, now);
    if (this.#shown !== item.key) {
      this.#shown = item.key;
      const head = element('strong');
      head.append(isolated(title));
      this.#box.replaceChildren(head, ...lines.map((line) => element('div', '', line)));
    } else {
      // Only ages change.
      for (const [index, line] of lines.entries()) {
        const place = this.#box.children[index + 1];
        if (place !== undefined) say(place, line);
      }
    }
    this.#box.hidden = false;
    const { offsetWidth, offsetHeight } = this.#box;
    const left = Math.max(8, Math.min(x + 8, innerWidth - offsetWidth - 8));
    const top = y + offsetHeight + 8 > innerHeight ? y - height - 12 - offsetHeight : y;
    this.#box.style.translate = `${Math.round(left)}px ${Math.round(top)}px`;
  }
}
