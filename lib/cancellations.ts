/** Breaks off one wait, with an error made for it. */
type Cancel = (makeError: () => Error) => void;

/** The waits that end with something: with a lease, a scope, a pool. */
export class Cancellations {
  readonly #cancels = new Set<Cancel>();

  /** Adds a wait. The function that is returned takes it out again. */
  enlist(cancel: Cancel): () => void {
    this.#cancels.add(cancel);
    return () => {
      this.#cancels.delete(cancel);
    };
  }

  /** Breaks off all that wait now. */
  cancel(makeError: () => Error): void {
    // Not one that is added meanwhile, or taken out.
    for (const cancel of Array.from(this.#cancels)) if (this.#cancels.has(cancel)) cancel(makeError);
  }
}
