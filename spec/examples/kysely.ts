// Kysely on a pool, behind node:http: seats that are paid for within their transaction, while others read and wait to
// write. Options: --file PATH, --port N (3000), --payments URL of a payment service (one of its own).
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { type Generated, Kysely } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { createPool } from '../../lib/index.ts'; // in your app: from 'leasehold'
import { LeaseholdDialect } from '../../lib/orm/kysely.ts'; // in your app: from 'leasehold/kysely'
import { integersOf, textOf } from './server/check.ts';
import { complain } from './server/failure.ts';
import { type Exchange, HttpError, type Route } from './server/http.ts';
import { listen } from './server/listen.ts';
import { cards, Ledger, paymentRoutes } from './server/payment-service.ts';
import { stopped, stopSignal } from './server/stop.ts';

interface Tables {
  show: { id: Generated<number>; title: string; seats: number };
  booking: { id: Generated<number>; show: number; guest: string };
}

const migrations: Record<string, Migration> = {
  '1 shows and bookings': {
    async up(db: Kysely<unknown>) {
      const create = (table: string) =>
        db.schema.createTable(table).addColumn('id', 'integer', (column) => column.primaryKey());
      await create('show').addColumn('title', 'text').addColumn('seats', 'integer').execute();
      await create('booking').addColumn('show', 'integer').addColumn('guest', 'text').execute();
    },
  },
};

const { values: options } = parseArgs({
  options: {
    file: { type: 'string', default: 'leasehold-kysely.db' },
    port: { type: 'string', default: '3000' },
    payments: { type: 'string' },
  },
});

const local = { host: '127.0.0.1', port: 0 };

// Made once, as with any dialect. Each request finds its own connection, and its own transaction, by its async context.
const pool = createPool(options.file, { name: 'kysely' });
const db = new Kysely<Tables>({ dialect: new LeaseholdDialect({ pool }) });

// They know nothing of transactions, and are part of whatever transaction their caller is in.
async function seatsLeft(show: number): Promise<number> {
  const taken = db.selectFrom('booking').select(db.fn.countAll<number>().as('taken')).where('show', '=', show);
  const found = await db
    .selectFrom('show')
    .select(['seats', taken.as('taken')])
    .where('id', '=', show)
    .executeTakeFirst();
  if (found === undefined) throw new HttpError(404, `There is no show ${show}.`);
  return found.seats - (found.taken ?? 0);
}

async function book(show: number, guest: string): Promise<number> {
  if ((await seatsLeft(show)) === 0) throw new HttpError(409, 'It is sold out.');
  const { id } = await db.insertInto('booking').values({ show, guest }).returning('id').executeTakeFirstOrThrow();
  return id;
}

/** Asks somebody else, who takes as long as he likes. */
async function pay(url: string, reference: string, card: string, signal: AbortSignal): Promise<void> {
  const body = JSON.stringify({ reference, cents: 900, card });
  const response = await fetch(`${url}/payments`, { method: 'POST', body, signal });
  await response.text();
  if (!response.ok) throw new HttpError(response.status, 'The payment was refused, and nothing was booked.');
}

/** A scope for the request: it has a name in messages, and ends with its client. */
const inScope =
  (handle: (exchange: Exchange) => Promise<unknown>) =>
  (exchange: Exchange): Promise<unknown> =>
    pool.withScope(() => handle(exchange), { label: exchange.label, signal: exchange.signal });

function routesOf(payments: string): Route[] {
  return [
    {
      method: 'POST',
      path: '/shows',
      about: 'announce {title, seats}',
      handle: inScope(async ({ body, response }) => {
        const asked = await body();
        const show = { title: textOf(asked, 'title', 100), ...integersOf(asked, { seats: 1000 }) };
        response.statusCode = 201;
        return db.insertInto('show').values(show).returningAll().executeTakeFirst();
      }),
    },
    {
      method: 'GET',
      path: '/shows/:id',
      about: 'how many seats are left',
      handle: inScope(async ({ params: { id = 0 } }) => ({ left: await seatsLeft(id) })),
    },
    {
      method: 'POST',
      path: '/shows/:id/bookings',
      about: 'book a seat for {guest, card}',
      handle: inScope(async ({ params: { id = 0 }, body, response, signal }) => {
        const asked = await body();
        const guest = textOf(asked, 'guest', 100);
        const card = (asked as { card?: string }).card ?? cards.good;
        const booking = await db.transaction().execute(async () => {
          const number = await book(id, guest);
          await pay(payments, `booking ${number}`, card, signal);
          return number;
        });
        response.statusCode = 201;
        return { booking };
      }),
    },
    {
      method: 'GET',
      path: '/bookings',
      about: 'all bookings, a line each, as they are read',
      handle: inScope(async ({ response, signal }) => {
        for await (const { guest } of db.selectFrom('booking').select('guest').orderBy('id').stream(100)) {
          if (!response.write(`${guest}\n`)) await once(response, 'drain', { signal });
        }
        response.end();
      }),
    },
    { method: 'GET', path: '/pool', about: 'figures of the pool', handle: () => pool.stats() },
  ];
}

async function main(): Promise<void> {
  await using _ = pool;
  const stopping = stopSignal();
  // Any number of processes may do so at once.
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw new Error('The tables could not be made', { cause: error });
  await using payments = await listen(paymentRoutes(new Ledger()), local);
  await using site = await listen(routesOf(options.payments ?? payments.url), { ...local, port: Number(options.port) });
  console.log(`Listening on ${site.url}`);
  await stopped(stopping);
}

await main().catch(complain);
