import { ClosedError } from '../errors.ts';
import { isPromiseLike } from '../events.ts';
import type { PoolStats } from '../stats.ts';
import { Inventory, type InventoryContext } from './inventory.ts';
import { Lender, type LenderContext } from './lender.ts';

/** What the stocks of one pool have in common. */
export type StockContext<Connection extends object, Handle extends object> = Omit<
  InventoryContext<Connection, Handle>,
  'onOpen' | 'onRoom'
> &
  Omit<LenderContext<Connection, Handle>, 'inventory'>;

/** Gauges of all stocks of a pool together. */
export function gaugesOf<Connection extends object, Handle extends object>(
  stocks: readonly Stock<Connection, Handle>[],
): Pick<PoolStats, 'size' | 'idle' | 'leased' | 'waiting'> {
  const gauges = { size: 0, idle: 0, leased: 0, waiting: 0 };
  for (const { inventory, lender } of stocks) {
    gauges.size += inventory.size;
    gauges.idle += inventory.idleCount;
    gauges.leased += lender.leased;
    gauges.waiting += lender.waiting;
  }
  return gauges;
}

/** Connections, and who holds them or waits for them. Every pool has one of `max`; some have another, of one, in reserve. */
export class Stock<Connection extends object, Handle extends object> {
  readonly inventory: Inventory<Connection, Handle>;
  readonly lender: Lender<Connection, Handle>;
  readonly #context: StockContext<Connection, Handle>;
  #closed = false;

  constructor(context: StockContext<Connection, Handle>) {
    const inventory = new Inventory<Connection, Handle>({
      ...context,
      onOpen: context.hooks.onOpen,
      onRoom: () => this.lender.pump(),
    });
    this.#context = context;
    this.inventory = inventory;
    this.lender = new Lender({ ...context, inventory });
  }

  /**
   * Opens `min` connections, at least one, and resolves when they are open. A lock held elsewhere is waited for until
   * `acquireTimeout`.
   *
   * @throws OpenError, ClosedError
   */
  async fill(): Promise<void> {
    const { inventory, lender } = this;
    const { clock, driver, patience, settings } = this.#context;
    const deadline = clock.now() + settings.acquireTimeout;
    const target = () => Math.max(1, inventory.min);
    const mayOpen = () => inventory.canOpen && inventory.staying < target();
    while (inventory.stayingOpen < target()) {
      if (this.#closed) throw new ClosedError(settings.name);
      try {
        if (mayOpen()) {
          const opening = inventory.open();
          // One that is open at once is there for whoever asks next.
          lender.offer(isPromiseLike(opening) ? await opening : opening);
        } else {
          // Others are opening, or the last attempt failed a moment ago.
          const settled = inventory.until(() => this.#closed || mayOpen() || inventory.stayingOpen >= target());
          await patience.bound(settled, 'ready()', deadline - clock.now());
        }
      } catch (error) {
        if (this.#closed) throw new ClosedError(settings.name);
        if (!driver.isTransient(error) || clock.now() >= deadline) {
          throw inventory.openError(inventory.lastOpenError ?? error);
        }
      }
    }
  }

  /** Refuses all who wait and all who come. Resolves when every connection is closed. */
  async close(): Promise<void> {
    this.#closed = true;
    this.lender.close();
    this.inventory.dispose();
    await this.inventory.until(() => this.inventory.size === 0);
  }
}
