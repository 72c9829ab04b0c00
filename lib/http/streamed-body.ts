/** What a body is read in. */
interface Scoped {
  run<Result>(fn: () => Result): Result;
}

/** How Node's `Readable` is asked for more. */
type Read = (this: unknown, size: number) => void;

/**
 * Has a body that is streamed do its work in a scope. A framework reads it when the middleware is over, in the context of
 * its own code, so that a body which asks for rows piece by piece would find no scope.
 *
 * The body stays the object that it is: others may hold it, and look at it. What is no stream is left alone.
 */
export function readWithin(scope: Scoped, body: unknown): void {
  if (body instanceof ReadableStream) readWebWithin(scope, body);
  else if (typeof body === 'object' && body !== null) readNodeWithin(scope, body);
}

function readNodeWithin(scope: Scoped, body: { readonly _read?: Read }): void {
  const { _read: read } = body;
  if (typeof read !== 'function') return;
  const readHere: Read = function readHere(size) {
    scope.run(() => read.call(this, size));
  };
  override(body, '_read', readHere);
}

function readWebWithin(scope: Scoped, body: ReadableStream): void {
  const getReader = body.getReader.bind(body) as (options?: unknown) => ReadableStreamDefaultReader;
  const readerWithin = (options?: unknown): ReadableStreamDefaultReader => {
    const reader = getReader(options);
    const read = reader.read.bind(reader) as (...parameters: unknown[]) => ReturnType<typeof reader.read>;
    // Its own promise: a server that looks what is there at once would not wait for one more.
    reader.read = (...parameters: unknown[]) => scope.run(() => read(...parameters));
    return reader;
  };
  override(body, 'getReader', readerWithin);
  // Those do not come by `getReader`.
  for (const method of ['pipeTo', 'pipeThrough', 'tee', 'values', Symbol.asyncIterator] as const) {
    const call = (...parameters: unknown[]): unknown => {
      const passing = passedOn(readerWithin());
      return (passing[method] as (...same: unknown[]) => unknown).apply(passing, parameters);
    };
    override(body, method, call);
  }
}

/** A stream of what a reader reads, which reads nothing ahead. */
function passedOn(reader: ReadableStreamDefaultReader): ReadableStream {
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

function override(body: object, method: string | symbol, value: unknown): void {
  Object.defineProperty(body, method, { value, configurable: true, writable: true });
}
