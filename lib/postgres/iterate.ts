import { DatabaseError } from 'pg';
import type Cursor from 'pg-cursor';
import { isError, OptionsError, textOf } from '../errors.ts';
import { checkCallOptions, type Rule, rules } from '../rules.ts';
import { type Operation, restacked } from './operation.ts';
import { checkValues, type QueryOptions } from './query-call.ts';
import type { Session } from './session.ts';

/** Options of `iterate`. */
export interface IterateOptions extends QueryOptions {
  /**
   * Rows fetched at a time. Integer from 1.
   * @defaultValue 100
   */
  readonly batch?: number | undefined;
  /** `'array'`: rows are arrays, in the order of their columns. */
  readonly rowMode?: 'array' | undefined;
}

const iterateRules = {
  signal: rules.signal,
  batch: rules.integerFrom(1),
  rowMode: rules.oneOf('array'),
} as const satisfies Record<keyof IterateOptions, Rule>;

/** The rows of a query, as a cursor gives them. */
export function iterate(
  session: Session,
  text: string,
  values: readonly unknown[] | undefined,
  options: IterateOptions | undefined,
): AsyncGenerator<unknown, void, undefined> {
  const { batch = 100, rowMode, signal } = checkCallOptions(options, iterateRules);
  if (typeof text !== 'string') throw new OptionsError('text', text, 'a string').withoutValue();
  const checked = checkValues(values);
  session.guard();
  return rowsOf(session, batch, async () => {
    const Class = await cursorClass();
    const cursor = new Class(text, checked, rowMode === undefined ? undefined : { rowMode });
    return { cursor, operation: session.stream(cursor, signal) };
  });
}

async function* rowsOf(
  session: Session,
  batch: number,
  open: () => Promise<{ readonly cursor: Cursor; readonly operation: Operation }>,
): AsyncGenerator<unknown, void, undefined> {
  const { cursor, operation } = await open();
  // Where the query is cancelled or the lease ends, the cursor itself says no more than that there are no more rows.
  let fail: ((error: unknown) => void) | undefined;
  const ended = operation.promise.catch((error: unknown) => {
    fail?.(error);
    throw error;
  });
  ended.catch(() => {});
  const read = (): Promise<unknown[]> => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown[]>();
    fail = reject;
    // What was lost is told better by the operation, which hears of it a moment later.
    cursor.read(batch).then(resolve, (error: unknown) => {
      const told = (): void => (error instanceof DatabaseError ? resolve(restacked(error)) : reject(error));
      ended.then(told, reject);
    });
    return promise;
  };
  try {
    for (;;) {
      const rows = await read();
      // It may have ended in the same step, or while the loop was elsewhere.
      for (const row of rows) {
        if (operation.isSettled) await ended;
        session.guard();
        yield row;
      }
      if (rows.length < batch) {
        await ended;
        return;
      }
    }
  } finally {
    // Its own promise waits for an answer, which does not come where the connection is lost.
    if (!operation.isSettled) cursor.close().catch(() => {});
    await ended.catch(() => {});
  }
}

async function cursorClass(): Promise<typeof Cursor> {
  try {
    return (await import('pg-cursor')).default;
  } catch (error) {
    if (!isError(error) || textOf(error, 'code') !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new OptionsError(
      'iterate',
      undefined,
      'used where the package "pg-cursor" is installed',
      'Run "npm install pg-cursor".',
    );
  }
}
