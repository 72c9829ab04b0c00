import type { LeaseDetail, Note } from '../wire.ts';
import { browser } from './browser.ts';
import { byId, element, isolated, say } from './dom.ts';
import { clockTime, duration, labelOf, oneLine } from './format.ts';
import { detailTimes } from './words.ts';

/** Shows all that is known of a lease. */
export class Detail {
  readonly #dialog = byId('detail', HTMLDialogElement);
  readonly #title = byId('detail-title', HTMLElement);
  readonly #body = byId('detail-body', HTMLElement);
  readonly #address: (pool: number, lease: number) => string;
  #asked = 0;

  constructor(address: (pool: number, lease: number) => string) {
    this.#address = address;
    this.#dialog.addEventListener('click', (event) => {
      // A click on what lies behind it.
      if (event.target === this.#dialog) this.#dialog.close();
    });
  }

  async show(pool: number, lease: number, now: () => number): Promise<void> {
    const asked = ++this.#asked;
    say(this.#title, `Lease ${lease}`);
    this.#body.replaceChildren(element('p', '', 'One moment …'));
    if (!this.#dialog.open) this.#dialog.showModal();
    const found = await this.#fetched(pool, lease);
    if (asked !== this.#asked) return;
    if (typeof found === 'string') this.#body.replaceChildren(element('p', '', found));
    else this.#fill(found, now());
  }

  async #fetched(pool: number, lease: number): Promise<LeaseDetail | string> {
    try {
      const answer = await browser.get(this.#address(pool, lease));
      if (answer.status === 200) return JSON.parse(await answer.text()) as LeaseDetail;
      return answer.status === 404
        ? 'This lease is not known any more: only those of the last minute are, and the longest of the last ten.'
        : `The server answers with status ${answer.status}.`;
    } catch {
      return 'The server does not answer.';
    }
  }

  #fill(detail: LeaseDetail, now: number): void {
    this.#title.replaceChildren(isolated(labelOf(detail.label, 2000)));
    const { held, until } = detailTimes(detail, now);
    const facts: readonly (readonly [string, string])[] = [
      ['Lease', `${detail.lease}`],
      ['Connection', `${detail.connection}`],
      ['Scope', detail.scope === undefined ? 'none' : `${detail.scope}`],
      ['Began', clockTime(detail.from)],
      ['Ended', until],
      ['Held', held],
      ['Waited for', duration(detail.waited)],
      ['Could write', spansOf(detail.writes, detail.from)],
      ['Read snapshots', spansOf(detail.reads, detail.from)],
    ];
    const list = element('dl');
    for (const [name, value] of facts) list.append(element('dt', '', name), element('dd', '', value));
    const parts: HTMLElement[] = [list];
    if (detail.notes.length > 0) parts.push(element('h3', '', 'What went wrong'), ...detail.notes.map(noteOf));
    if (detail.sql !== undefined) parts.push(element('h3', '', 'Last statement'), element('pre', '', detail.sql));
    if (detail.stack !== undefined) parts.push(element('h3', '', 'Acquired at'), element('pre', '', detail.stack));
    this.#body.replaceChildren(...parts);
  }
}

function noteOf({ at, kind, message }: Note): HTMLElement {
  return element('pre', '', `${clockTime(at)}  ${oneLine(kind, 40)}\n${message}`);
}

function spansOf(spans: LeaseDetail['writes'], from: number): string {
  if (spans.length === 0) return 'never';
  return spans
    .map(([begin, end]) => `${duration(end - begin)} after ${duration(Math.max(0, begin - from))}`)
    .join(', ');
}
