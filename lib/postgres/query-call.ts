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
  readonly rows?: unknown;
  readonly portal?: unknown;
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
export function callbackOf([, second, third]: readonly unknown[]): QueryCallback | undefined {
  const callback = typeof second === 'function' ? second : third;
  return typeof callback === 'function' ? (callback as QueryCallback) : undefined;
}

/** @throws OptionsError */
export function readCall([query, second, third]: readonly unknown[]): QueryCall {
  const callback = callbackOf([undefined, second, third]);
  if (third !== undefined && callback === undefined)
    throw new OptionsError('callback', third, 'a function').withoutValue();
  const values = typeof second === 'function' ? undefined : checkValues(second);
  if (typeof query === 'string') return { stream: undefined, config: query, values, signal: undefined, callback };
  if (typeof query !== 'object' || query === null) {
    throw new OptionsError('query', query, 'a text, a query object or a stream of pg').withoutValue();
  }
  if ('submit' in query && typeof query.submit === 'function') {
    return { stream: query as Stream, config: '', values, signal: undefined, callback };
  }
  const config = configOf(query);
  return { stream: undefined, config, values, signal: config.signal, callback };
}

/** All that pg looks at, each read once: what a library makes may have getters, and is not to be changed. */
function configOf(query: object): Config {
  const { text, values, name, types, signal, rowMode, rows, portal, binary, queryMode, query_timeout } =
    query as Config;
  if (signal !== undefined && !isAccepted(rules.signal, signal)) {
    throw new OptionsError('signal', signal, rules.signal.allowed).withoutValue();
  }
  const checked = checkValues(values);
  return {
    text,
    values: checked as never,
    name,
    types,
    signal,
    rowMode,
    rows,
    portal,
    binary,
    queryMode,
    query_timeout,
  };
}

/** What is no list is not shown: it may be a value that was to be bound. */
export function checkValues(values: unknown): unknown[] | undefined {
  if (values === undefined || values === null || Array.isArray(values)) return values ?? undefined;
  throw new OptionsError('values', values, 'an array').withoutValue();
}
