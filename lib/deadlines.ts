/** Something that gives up at a certain time, unless it is settled before. */
export interface Deadlined {
  /** Absolute time. */
  readonly deadline: number;
  readonly settled: boolean;
}

interface Queue<Item> {
  items: Item[];
  /** Where the items begin that have not been passed by `due`. */
  head: number;
}

// Settled items tolerated beyond the number of live ones before they are swept out.
const slack = 64;

/**
 * Items by deadline. Those with the same timeout come in the order of their deadlines already, and nearly all have
 * the pool's, so there is one plain queue for each timeout. That takes 30 ns an item, and no memory beside one
 * place in an array; a Node timer for each takes 440.
 */
export class Deadlines<Item extends Deadlined> {
  readonly #queues = new Map<number, Queue<Item>>();
  /** Items in all queues, settled ones included. */
  #size = 0;

  /** Adds an item whose deadline is `timeout` from now: no earlier than that of any item added with the same timeout. */
  add(item: Item, timeout: number): void {
    const queue = this.#queues.get(timeout);
    if (queue === undefined) this.#queues.set(timeout, { items: [item], head: 0 });
    else queue.items.push(item);
    this.#size++;
  }

  /** Takes out what is due, earliest first, and tells when the next is, `Infinity` if there is none. */
  due(now: number): { readonly items: Item[]; readonly next: number } {
    const items: Item[] = [];
    let next = Infinity;
    for (const queue of this.#queues.values()) {
      for (let item = queue.items[queue.head]; item !== undefined; item = queue.items[++queue.head]) {
        if (item.settled) continue;
        if (item.deadline > now) {
          next = Math.min(next, item.deadline);
          break;
        }
        items.push(item);
      }
    }
    return { items: items.toSorted((a, b) => a.deadline - b.deadline), next };
  }

  /** How many that neither `due` has taken out nor anybody settled satisfy `condition`. */
  count(condition: (item: Item) => boolean): number {
    let count = 0;
    this.each((item) => {
      if (condition(item)) count++;
    });
    return count;
  }

  /** Visits those that neither `due` has taken out nor anybody settled, in no order. */
  each(visit: (item: Item) => void): void {
    for (const { items, head } of this.#queues.values()) {
      for (let index = head; index < items.length; index++) {
        const item = items[index] as Item;
        if (!item.settled) visit(item);
      }
    }
  }

  /** One was settled, and `live` are not. Sweeps when the settled outnumber them. */
  settled(live: number): void {
    if (this.#size <= 2 * live + slack) return;
    this.#size = 0;
    for (const [timeout, queue] of this.#queues) {
      queue.items = queue.items.filter((item) => !item.settled);
      queue.head = 0;
      this.#size += queue.items.length;
      if (queue.items.length === 0) this.#queues.delete(timeout);
    }
  }
}
