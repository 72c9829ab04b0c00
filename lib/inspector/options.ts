import { OptionsError } from '../errors.ts';
import { observe } from '../observer.ts';
import { checkCallOptions, rules } from '../rules.ts';
import type { InspectedPool } from './subject.ts';

/** Options of `inspector()`. */
export interface InspectorOptions {
  /**
   * Whether who asks may see the inspector. It is asked for the page, for each answer in JSON, and for a stream of events when it
   * begins, which is at least every five minutes. `true` lets him in; `false` is a 403; a `Response` is sent instead, such as a
   * redirect to where one logs in. What it throws or rejects with goes to the framework, or is a 500.
   *
   * Unless given, only clients on the same machine are let in: the connection must come from a loopback address, the `Host` must be
   * `localhost` or a loopback address, and nothing may say that a proxy has passed the request on.
   */
  readonly authorize?: ((request: Request) => boolean | Response | PromiseLike<boolean | Response>) | undefined;

  /**
   * Whether the text of the last statement of each lease is shown. It may hold what somebody has written into it. The values that
   * are bound to a statement are never shown.
   * @defaultValue false
   */
  readonly showSql?: boolean | undefined;
}

const known = { authorize: rules.function, showSql: rules.boolean } as const;

/** @throws OptionsError */
export function checkInspector(
  pools: unknown,
  options: InspectorOptions | undefined,
): { readonly pools: readonly InspectedPool[]; readonly options: InspectorOptions } {
  const list: readonly unknown[] = Array.isArray(pools) ? pools : [pools];
  if (list.length === 0 || !list.every(isPool)) {
    const wrong = list.length === 0 ? pools : list.find((pool) => !isPool(pool));
    throw new OptionsError('pools', wrong, 'a pool, or a list of pools that is not empty');
  }
  return { pools: [...new Set(list as readonly InspectedPool[])], options: checkCallOptions(options, known) };
}

function isPool(value: unknown): boolean {
  try {
    return typeof value === 'object' && value !== null && typeof Reflect.get(value, observe) === 'function';
  } catch {
    return false;
  }
}
