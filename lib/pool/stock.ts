import { Inventory, type InventoryContext } from './inventory.ts';
import { Lender, type LenderContext } from './lender.ts';

/** What the stocks of one pool have in common. */
export type StockContext<Connection extends object, Handle extends object> = Omit<
  InventoryContext<Connection, Handle>,
  'onOpen' | 'onRoom'
> &
  Omit<LenderContext<Connection, Handle>, 'inventory'>;

/** Connections, and who holds them or waits for them. Every pool has one of `max`; some have another, of one, in reserve. */
export class Stock<Connection extends object, Handle extends object> {
  readonly inventory: Inventory<Connection, Handle>;
  readonly lender: Lender<Connection, Handle>;

  constructor(context: StockContext<Connection, Handle>) {
    const inventory = new Inventory<Connection, Handle>({
      ...context,
      onOpen: context.hooks.onOpen,
      onRoom: () => this.lender.pump(),
    });
    this.inventory = inventory;
    this.lender = new Lender({ ...context, inventory });
  }

  /** Refuses all who wait and all who come. Resolves when every connection is closed. */
  async close(): Promise<void> {
    this.lender.close();
    this.inventory.dispose();
    await this.inventory.until(() => this.inventory.size === 0);
  }
}
