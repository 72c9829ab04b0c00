import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel';
import type { ExecutionContext } from 'ava';

// Channels belong to the process: whoever subscribes looks at the messages of one pool only, in a test that runs by
// itself.

const steps = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;

/** A message as it was at one of its steps. */
export type Told<Message extends object> = Message & {
  readonly step: (typeof steps)[number];
  readonly result?: unknown;
};

export interface Trace<Message extends object> {
  readonly told: Told<Message>[];
  /** The objects themselves. */
  readonly messages: ReadonlySet<object>;
  readonly stop: () => void;
}

/** Subscribes to what is traced of a pool until the end of the test. */
export function watchTracing<Message extends { readonly poolId: number }>(
  t: ExecutionContext,
  name: string,
  pool: { readonly id: number },
): Trace<Message> {
  const told: Told<Message>[] = [];
  const messages = new Set<object>();
  const tracing = tracingChannel<unknown, Message>(name);
  const listen = (step: (typeof steps)[number]) => (message: Message) => {
    if (message.poolId !== pool.id) return;
    messages.add(message);
    told.push({ ...message, step });
  };
  const subscribers = Object.fromEntries(steps.map((step) => [step, listen(step)])) as unknown as Parameters<
    typeof tracing.subscribe
  >[0];
  tracing.subscribe(subscribers);
  const stop = () => {
    tracing.unsubscribe(subscribers);
  };
  t.teardown(stop);
  return { told, messages, stop };
}

/** What is published on one channel for a pool until the end of the test. */
export function watchChannel(t: ExecutionContext, name: string, pool: { readonly id: number }): object[] {
  const told: object[] = [];
  const listener = (message: unknown) => {
    if ((message as { poolId: number }).poolId === pool.id) told.push({ ...(message as object) });
  };
  subscribe(name, listener);
  t.teardown(() => void unsubscribe(name, listener));
  return told;
}

/** The steps that were told, each with a few of the fields of its message. */
export function outline<Message extends object>(
  told: readonly Told<Message>[],
  ...fields: readonly (keyof Message)[]
): unknown[][] {
  return told.map((message) => [message.step, ...fields.map((field) => message[field])]);
}
