/** Milliseconds by which an answer may come later than the event loop itself explains: a timer's rounding, and its turn. */
export const slack = 50;

/** How long somebody has waited. Milliseconds. */
export interface Wait {
  readonly waited: number;
  readonly timeout: number;
  /** For how long of the time since his deadline the event loop did not come round. */
  readonly blocked: number;
}

/** How much later than his deadline somebody was answered, beyond what the event loop explains. */
export function lateness({ waited, timeout, blocked }: Wait): number {
  return Math.max(0, waited - timeout - blocked);
}

export function deadlineFault(who: string, wait: Wait): string | undefined {
  if (lateness(wait) <= slack) return undefined;
  const { waited, timeout, blocked } = wait;
  return `${who} was answered after ${waited.toFixed()} ms with a deadline of ${timeout.toFixed()} ms, while the loop was late by ${blocked.toFixed()} ms`;
}
