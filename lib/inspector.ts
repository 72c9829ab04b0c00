import type { Peer } from './inspector/access.ts';
import { Answers } from './inspector/answers.ts';
import { Monitor } from './inspector/monitor.ts';
import { type Mounts, mountsOf } from './inspector/mounts.ts';
import { checkInspector, type InspectorOptions } from './inspector/options.ts';
import type { InspectedPool } from './inspector/subject.ts';

export type { Peer } from './inspector/access.ts';
export type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  HonoContext,
  KoaContext,
  Mounts,
} from './inspector/mounts.ts';
export type { NodeRequest, NodeResponse } from './inspector/node-exchange.ts';
export type { InspectorOptions } from './inspector/options.ts';
export type { InspectedPool } from './inspector/subject.ts';
export type * from './inspector/wire.ts';

/**
 * The page of one or more pools, what it asks for, and the same as JSON. It is a handler itself, in the style of `fetch`, and has
 * one for each framework. Where it is mounted is not told to it: what the last part of the path is decides. So do not mount it at a path
 * that ends in one of these itself.
 *
 * | path     |                                                                                           |
 * | -------- | ----------------------------------------------------------------------------------------- |
 * | `data`   | a `Report`; with `?after=<number of a tick>&server=<its id>` of what came after that        |
 * | `events` | server-sent events, each a `report`: complete at first, then what is new, twice a second  |
 * | `lease`  | a `LeaseDetail`, of `?pool=1&lease=42`                                                    |
 * | another  | the page                                                                                  |
 */
export interface Inspector extends Mounts {
  /**
   * Answers a request. Nothing that is asked of it changes anything: other methods than GET and HEAD are refused.
   * @param peer who has sent it, as the server knows it. Without, nobody is let in but by `authorize`
   */
  (request: Request, peer?: Peer): Promise<Response>;

  /**
   * Ends the streams of events, for whose end a server waits before it closes, and records no more. What was recorded last can still
   * be asked for.
   */
  close(): void;
  /** As `close`. */
  [Symbol.dispose](): void;
}

/**
 * Shows pools to people: who holds which connection, who waits, what was slow. It records from now on, whether anybody looks or not:
 * the leases of the last minute, and of the last ten how long waits and holds took. It ends with the pools, or by `close()`,
 * and keeps them until then: also one that its program has dropped.
 *
 * ```ts
 * app.use('/_pool', inspector(pool).express);
 * ```
 *
 * @throws OptionsError
 */
export function inspector(pools: InspectedPool | readonly InspectedPool[], options?: InspectorOptions): Inspector {
  const { pools: list, options: checked } = checkInspector(pools, options);
  const monitor = new Monitor(list, checked.showSql ?? false);
  const answers = new Answers(monitor, checked.authorize);
  const answer = (request: Request, peer: Peer = {}): Promise<Response> => answers.answer(request, peer);
  const close = (): void => monitor.stop();
  return Object.assign(answer, { ...mountsOf(answer), close, [Symbol.dispose]: close });
}
