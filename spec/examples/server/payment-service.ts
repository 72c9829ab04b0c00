import { randomInt } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { integersOf, textOf } from './check.ts';
import { HttpError, type Route } from './http.ts';

/** Numbers of test cards, as payment services have them. Any other is good. */
export const cards = { good: '4242424242424242', declined: '4000000000000002', final: '4000000000000036' };

/** What a payment service remembers. */
export class Ledger {
  /** By reference. */
  readonly paid = new Map<string, { readonly cents: number; readonly card: string }>();
  readonly cancelled = new Set<string>();
}

/**
 * A stand-in for the payment service of somebody else: an HTTP server of its own, which needs a moment for each
 * payment, declines one card, and refuses to pay back to another.
 */
export function paymentRoutes(ledger: Ledger, think: (signal: AbortSignal) => Promise<void> = shortly): Route[] {
  return [
    {
      method: 'POST',
      path: '/payments',
      about: 'pay {reference, cents, card}',
      async handle({ body, signal, response }) {
        const asked = await body();
        const reference = textOf(asked, 'reference', 100);
        const card = textOf(asked, 'card', 20);
        const { cents } = integersOf(asked, { cents: Number.MAX_SAFE_INTEGER });
        await think(signal);
        if (card === cards.declined) throw new HttpError(402, 'The card was declined.');
        // Called off before it got here.
        if (ledger.cancelled.has(reference)) throw new HttpError(409, 'The payment was cancelled.');
        ledger.paid.set(reference, { cents, card });
        response.statusCode = 201;
        return { reference, cents };
      },
    },
    {
      method: 'POST',
      path: '/payments/cancel',
      about: 'call off {reference}, paid already or not',
      async handle({ body, signal }) {
        const reference = textOf(await body(), 'reference', 100);
        await think(signal);
        if (ledger.paid.get(reference)?.card === cards.final) {
          throw new HttpError(409, 'Nothing can be paid back to this card.');
        }
        // To do it twice does no harm, so whoever is not sure may ask again.
        ledger.paid.delete(reference);
        ledger.cancelled.add(reference);
        return { reference };
      },
    },
  ];
}

// Milliseconds.
const shortest = 1;
const longest = 4;

async function shortly(signal: AbortSignal): Promise<void> {
  await setTimeout(randomInt(shortest, longest + 1), undefined, { signal });
}
