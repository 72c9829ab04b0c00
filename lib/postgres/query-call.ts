import type pg from 'pg';
import { OptionsError } from '../errors.ts';
import { isAccepted, rules } from '../rules.ts';
import type { Stream } from './operation.ts';

/** What a query may be asked for with, beside what pg knows. */
export interface QueryOptions {
  /** Aborted: the server is asked to end the query, and the call rejects with an `AbortError` once it has. */
  readonly signal?: AbortSignal | undefined;
}

/** Called back as pg does. */
export type QueryCallback = (error: Error | null, result: never) => void;

/** A query object of pg: what is published of it, and what else its client looks at. */
interface Config extends pg.QueryConfig, QueryOptions {
  readonly rowMode?: unknown;
  readonly binary?: unknown;
  readonly queryMode?: unknown;
  readonly query_timeout?: unknown;
}

/** What `query` was called with. */
export interface QueryCall {
  readonly stream: Stream | undefined;
  readonly config: string | pg.QueryConfig;
  readonly values: unknown[] | undefined;
  readonly signal: AbortSignal | undefined;
  readonly callback: QueryCallback | undefined;
}

/** Whoever wants to be called back wants that also where the rest is wrong. */
export function callbackOf(second: unknown, third: unknown): QueryCallback | undefined {
  const callback = typeof second === 'function' ? second : third;
  return typeof callback === 'function' ? (callback as QueryCallback) : undefined;
}

/** @throws OptionsError */
export function readCall(query: unknown, second: unknown, third?: unknown): QueryCall {
  const callback = callbackOf(second, third);
  if (third !== undefined && callback === undefined) {
    throw new OptionsError('callback', third, 'a function').withoutValue();
  }
  const values = typeof second === 'function' ? undefined : checkValues(second);
  if (typeof query === 'string') return { stream: undefined, config: query, values, signal: undefined, callback };
  if (typeof query !== 'object' || query === null) {
    throw new OptionsError('query', query, 'a text, a query object or a stream of pg').withoutValue();
  }
  if ('submit' in query && typeof query.submit === 'function') {
    return { stream: query as Stream, config: '', values, signal: undefined, callback };
  }
  const { signal } = query as Config;
  if (signal !== undefined && !isAccepted(rules.signal, signal)) {
    throw new OptionsError('signal', signal, rules.signal.allowed).withoutValue();
  }
  return { stream: undefined, config: configOf(query as Config), values, signal, callback };
}

/** All that pg looks at, each read once: what a library makes may have getters, and is not to be changed. */
function configOf(query: Config): Config {
  const { text, values, name, types, rowMode, binary, queryMode, query_timeout } = query;
  const config: Record<string, unknown> = { text, values: checkValues(values), name };
  // Not `rows`: in batches that nobody asked for, pg forgets to tell the server when one of them fails.
  const others = { types, rowMode, binary, queryMode, query_timeout };
  for (const key in others) {
    const value = others[key as keyof typeof others];
    // pg takes long for each that there is.
    if (value !== undefined) config[key] = value;
  }
  return config as unknown as Config;
}

/** What is no list is not shown: it may be a value that was to be bound. */
export function checkValues(values: unknown): unknown[] | undefined {
  if (values === undefined || values === null || Array.isArray(values)) return values ?? undefined;
  throw new OptionsError('values', values, 'an array').withoutValue();
}
