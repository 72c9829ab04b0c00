import { randomUUID } from 'node:crypto';
import { HttpError } from './http.ts';

/** Where a payment service is. */
export interface PaymentService {
  readonly url: string;
  /** Milliseconds that it gets to answer. It is also the longest for which one order can keep the others waiting. */
  readonly patience: number;
}

/** One payment, from the order's point of view. */
export class Payment {
  readonly #service: PaymentService;
  /** Ours, not the service's: so we can call off a payment of which we never heard whether it was made. */
  readonly reference: string;
  /** Whether money may have moved. */
  #mayBePaid = false;

  constructor(service: PaymentService, reference: string = randomUUID()) {
    this.#service = service;
    this.reference = reference;
  }

  /** @throws HttpError: 402 where the card is declined, 502 where the service fails; what `signal` is aborted for */
  async pay(cents: number, card: string, signal: AbortSignal): Promise<void> {
    this.#mayBePaid = true;
    const { status } = await this.#ask('/payments', { cents, card }, signal);
    if (status === 201) return;
    if (status !== 402) throw new HttpError(502, 'The payment service makes no sense. Nothing was ordered.');
    this.#mayBePaid = false;
    throw new HttpError(402, 'The card was declined. Nothing was ordered.');
  }

  /** @throws HttpError: 409 where the card takes nothing back, 502 where the service fails */
  async payBack(): Promise<void> {
    const { status } = await this.#ask('/payments/cancel', {});
    if (status === 409) throw new HttpError(409, 'Nothing can be paid back to the card.');
    if (status !== 200) throw new HttpError(502, 'The payment service makes no sense. Nothing was cancelled.');
  }

  /** The order has come to nothing: calls off what was asked for. Never rejects, since the caller has an error already. */
  async undo(): Promise<void> {
    if (!this.#mayBePaid) return;
    try {
      await this.payBack();
    } catch (error) {
      // A real shop would write this down and try again.
      console.error(`Payment ${this.reference} could not be called off: ${(error as Error).message}`);
    }
  }

  async #ask(path: string, body: object, signal?: AbortSignal): Promise<Response> {
    const limit = AbortSignal.timeout(this.#service.patience);
    try {
      const response = await fetch(this.#service.url + path, {
        method: 'POST',
        body: JSON.stringify({ reference: this.reference, ...body }),
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      });
      // Read to its end, so that the socket is fit for the next one.
      await response.text();
      return response;
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new HttpError(502, 'The payment service does not answer. Try again later.');
    }
  }
}
