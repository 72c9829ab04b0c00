import { setImmediate } from 'node:timers/promises';
import type { LeasedDatabase, SqlitePool } from '../../../lib/index.ts';
import { DemoError } from './failure.ts';

/** How many rows the first start makes. */
export interface Size {
  readonly customers: number;
  readonly orders: number;
}

interface FillOptions {
  readonly signal?: AbortSignal;
  /** Called with a share from 0 to 1 after each chunk; not at all where the database is complete. */
  readonly onProgress?: (share: number) => void;
}

const schema = `
  CREATE TABLE demo (customers INTEGER NOT NULL, orders INTEGER NOT NULL, filled INTEGER NOT NULL) STRICT;

  CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    city TEXT NOT NULL,
    order_count INTEGER NOT NULL DEFAULT 0,
    spent_cents INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX customers_by_spending ON customers (spent_cents);

  -- Of each product, what was ever delivered is in stock or in an order that is not cancelled.
  CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    price_cents INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    stock INTEGER NOT NULL CHECK (stock >= 0)
  ) STRICT;

  CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers,
    product_id INTEGER NOT NULL REFERENCES products,
    quantity INTEGER NOT NULL,
    status TEXT NOT NULL,
    placed_at TEXT NOT NULL,
    total_cents INTEGER NOT NULL,
    payment TEXT UNIQUE
  ) STRICT;
  CREATE INDEX orders_by_customer ON orders (customer_id);
  CREATE INDEX orders_by_status ON orders (status, quantity, total_cents);`;

/** How many products there are. */
export const products = 100;

// Rows in one transaction: few enough that a chunk takes some 10 ms, many enough that commits cost nothing.
const chunk = 1000;

/**
 * Makes the database and fills it, or completes what an interrupted start has left. Returns the size it was
 * begun with: `wanted` counts for a new file only.
 *
 * Each chunk is one synchronous transaction, so the file always holds a whole number of them; between two the
 * event loop is free, for Ctrl-C among others.
 */
export function fill(pool: SqlitePool, wanted: Size, options: FillOptions = {}): Promise<Size> {
  const { signal, onProgress } = options;
  return pool.withConnection(
    async (db) => {
      const { filled, ...size } = begin(db, wanted);
      if (filled) return size;
      const addChunk = chunkMaker(db, size);
      for (;;) {
        const done = addChunk();
        onProgress?.(done);
        if (done === 1) return size;
        await setImmediate(undefined, { signal });
      }
    },
    { label: 'first fill', ...(signal && { signal }) },
  );
}

/** Makes the tables where there are none, and tells how many rows they are for and whether these are in. */
function begin(db: LeasedDatabase, wanted: Size): Size & { filled: boolean } {
  const tables = db.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck();
  const makeTables = db.transaction(() => {
    const found = tables.all();
    if (found.includes('demo') && found.includes('products')) return;
    if (found.includes('demo')) {
      throw new DemoError(`${db.name} was made by an older demo. Delete it, or choose another --file.`);
    }
    if (found.length > 0) throw new DemoError(`${db.name} is a database of something else. Choose another --file.`);
    db.exec(schema);
    db.prepare('INSERT INTO demo VALUES (?, ?, 0)').run(wanted.customers, wanted.orders);
  });
  makeTables.immediate();
  const state = db.prepare<[], Size & { filled: number }>('SELECT customers, orders, filled FROM demo').get();
  if (state === undefined) throw new DemoError(`${db.name} is damaged: its table "demo" is empty.`);
  return { ...state, filled: state.filled === 1 };
}

/** A function that adds the next chunk and returns the share that is in, 1 once the database is complete. */
function chunkMaker(db: LeasedDatabase, size: Size): () => number {
  const lastProduct = db.prepare<[], number>('SELECT coalesce(max(id), 0) FROM products').pluck();
  const lastCustomer = db.prepare<[], number>('SELECT coalesce(max(id), 0) FROM customers').pluck();
  const lastOrder = db.prepare<[], number>('SELECT coalesce(max(id), 0) FROM orders').pluck();
  const addProduct = db.prepare('INSERT INTO products VALUES (?, ?, ?, ?, ?)');
  const addCustomer = db.prepare('INSERT INTO customers (id, name, email, city) VALUES (?, ?, ?, ?)');
  const addOrder = db.prepare('INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, NULL)');
  const addToDelivered = db.prepare('UPDATE products SET delivered = delivered + ? WHERE id = ?');
  const addToCustomer = db.prepare(
    'UPDATE customers SET order_count = order_count + 1, spent_cents = spent_cents + ? WHERE id = ?',
  );
  const finish = db.prepare('UPDATE demo SET filled = 1');

  const add = db.transaction(() => {
    // Where to go on is read inside the transaction: it is right after an interruption, too.
    let made = lastProduct.get() ?? 0;
    let customers = lastCustomer.get() ?? 0;
    let orders = lastOrder.get() ?? 0;
    for (let room = chunk; room > 0; room--) {
      if (made < products) {
        const { id, name, priceCents, stock } = product(++made);
        addProduct.run(id, name, priceCents, stock, stock);
      } else if (customers < size.customers) {
        const { id, name, email, city } = customer(++customers);
        addCustomer.run(id, name, email, city);
      } else if (orders < size.orders) {
        const { id, customerId, productId, quantity, status, placedAt, totalCents } = order(++orders, size.customers);
        addOrder.run(id, customerId, productId, quantity, status, placedAt, totalCents);
        addToDelivered.run(quantity, productId);
        addToCustomer.run(totalCents, customerId);
      } else break;
    }
    const share = (made + customers + orders) / (products + size.customers + size.orders);
    if (share === 1) finish.run();
    return share;
  });
  return () => add.immediate();
}

const firstNames = ['Ada', 'Alan', 'Barbara', 'Dennis', 'Edsger', 'Frances', 'Grace', 'Ken', 'Margaret', 'Tony'];
const lastNames = ['Allen', 'Codd', 'Dijkstra', 'Gray', 'Hamilton', 'Hoare', 'Hopper', 'Kay', 'Lamport', 'Liskov'];
const cities = ['Athens', 'Berlin', 'Dakar', 'Hanoi', 'Lima', 'Lisbon', 'Nairobi', 'Oslo', 'Quito', 'Toronto'];
const statuses = ['delivered', 'delivered', 'delivered', 'delivered', 'shipped', 'paid', 'returned'];

function customer(id: number) {
  const first = pick(firstNames, scatter(id, 1));
  const last = pick(lastNames, scatter(id, 2));
  const email = `${first}.${last}.${id}@example.com`.toLowerCase();
  return { id, name: `${first} ${last}`, email, city: pick(cities, scatter(id, 3)) };
}

const makes = ['Atlas', 'Borealis', 'Corvus', 'Draco', 'Eridanus', 'Fornax', 'Gemini', 'Hydra', 'Indus', 'Lyra'];
const things = ['bench', 'chair', 'cupboard', 'desk', 'lamp', 'mirror', 'rug', 'shelf', 'stool', 'table'];

function product(id: number) {
  return {
    id,
    name: `${makes[Math.floor((id - 1) / things.length) % makes.length]} ${pick(things, id - 1)}`,
    priceCents: 500 + (scatter(id, 6) % 50_000),
    stock: 50 + (scatter(id, 7) % 100),
  };
}

const firstOrderAt = Date.UTC(2024, 0, 1);
const betweenOrders = 600_000;

function order(id: number, customers: number) {
  const { id: productId, priceCents } = product(1 + (scatter(id, 6) % products));
  const quantity = 1 + (scatter(id, 8) % 3);
  return {
    id,
    customerId: 1 + (scatter(id, 4) % customers),
    productId,
    quantity,
    status: pick(statuses, scatter(id, 5)),
    placedAt: new Date(firstOrderAt + id * betweenOrders).toISOString(),
    totalCents: priceCents * quantity,
  };
}

/** A number that looks random and is the same at every start: the mixer of MurmurHash3. */
function scatter(id: number, salt: number): number {
  let hash = Math.imul(id, 0x9e3779b1) ^ Math.imul(salt, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function pick(from: readonly string[], number: number): string {
  return from[number % from.length] as string;
}
