/** A promise that the test settles: holds an interleaving at a chosen point, where a sleep would only hope. */
export interface Gate<Value = void> extends PromiseLike<Value> {
  open(value: Value): void;
  fail(error: unknown): void;
}

export function gate<Value = void>(): Gate<Value> {
  const { promise, resolve, reject } = Promise.withResolvers<Value>();
  promise.catch(() => {});
  return {
    // oxlint-disable-next-line unicorn/no-thenable -- awaiting the gate is its purpose
    // biome-ignore lint/suspicious/noThenProperty: awaiting the gate is its purpose
    then: promise.then.bind(promise),
    open: resolve,
    fail: reject,
  };
}

/** Lets every promise that can settle without outside events do so. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
