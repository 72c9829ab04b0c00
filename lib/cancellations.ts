/** Breaks off one wait, with an error made for it. */
type Cancel = (makeError: () => Error) => void;

/** The waits that end with something: with a lease, a scope, a pool. */
export class Cancellations {
  /** Made with the first wait: most leases never wait for anything. */
  #cancels: Set<Cancel> | undefined;

  /** How many waits there are. */
  get size(): number {
    return this.#cancels?.size ?? 0;
  }

  /** Adds a wait. The function that is returned takes it out again. */
  enlist(cancel: Cancel): () => void {
    this.#cancels ??= new Set();
    this.#cancels.add(cancel);
    return () => {
      this.#cancels?.delete(cancel);
    };
  }

  /** Breaks off all that wait now. */
  cancel(makeError: () => Error): void {
    const cancels = this.#cancels;
    if (cancels === undefined) return;
    // Not one that is added meanwhile, or taken out.
    for (const cancel of Array.from(cancels)) if (cancels.has(cancel)) cancel(makeError);
  }
}
