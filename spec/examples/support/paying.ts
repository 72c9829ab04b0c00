import { temporaryFile } from '../../support/files.ts';
import { listen } from '../server/listen.ts';
import { Ledger, paymentRoutes } from '../server/payment-service.ts';
import { startProgram, type TestContext } from './program.ts';
import { stoppingAt } from './shop.ts';

/** An example whose requests ask a payment service in the middle of a transaction. */
export interface PayingExample {
  readonly url: string;
  readonly file: string;
  readonly ledger: Ledger;
  /** The payment service is asked for the first time, which it answers when the gate is opened. */
  readonly payment: ReturnType<typeof stoppingAt>;
  /** Ends it by SIGTERM, and tells how it has ended, and what it has complained of. */
  stop(): Promise<{ readonly code: number | null; readonly complaints: string }>;
}

/** Starts an example as a process of its own, with a payment service that is within the test. */
export async function startPaying(t: TestContext, name: string, file = temporaryFile(t)): Promise<PayingExample> {
  const payment = stoppingAt(1);
  const ledger = new Ledger();
  const payments = await listen(paymentRoutes(ledger, payment.think), { host: '127.0.0.1', port: 0 });
  t.teardown(() => payments[Symbol.asyncDispose]() as Promise<void>);
  const program = startProgram(t, name, '--file', file, '--port', '0', '--payments', payments.url);
  const url = await program.url();
  return {
    url,
    file,
    ledger,
    payment,
    async stop() {
      program.kill('SIGTERM');
      const { code } = await program.ended;
      return { code, complaints: program.complaints };
    },
  };
}

export async function json<Result>(response: Response | Promise<Response>): Promise<Result> {
  return (await (await response).json()) as Result;
}

/** Looks at the figures of the pool until they will do. */
export async function statsUntil(
  { url }: Pick<PayingExample, 'url'>,
  enough: (stats: { readonly laneHeld: number; readonly laneWaiting: number }) => boolean,
): Promise<void> {
  while (!enough(await json(fetch(`${url}/pool`)))) {
    // Each look is a round trip.
  }
}
