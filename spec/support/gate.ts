/** A promise that the test settles: holds an interleaving at a chosen point, where a sleep would only hope. */
export interface Gate<Value = void> {
  readonly passed: Promise<Value>;
  open(value: Value): void;
  fail(error: unknown): void;
}

export function gate<Value = void>(): Gate<Value> {
  const { promise, resolve, reject } = Promise.withResolvers<Value>();
  // A gate that fails before anybody waits at it is no unhandled rejection.
  promise.catch(() => {});
  return { passed: promise, open: resolve, fail: reject };
}

/** Lets every promise that can settle without outside events do so. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
