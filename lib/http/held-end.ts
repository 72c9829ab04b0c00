import type { ServerResponseLike } from './request-scope.ts';

/** What is used of a response that a handler ends itself. */
export interface EndableResponse extends ServerResponseLike {
  statusCode: number;
  statusMessage?: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: so that `end` of every framework fits, with its overloads
  end(...parameters: any[]): unknown;
}

/**
 * Keeps back the end of a response until it is known what there is to tell. What is written before that goes out; so do
 * status and headers with the first of it.
 *
 * From the end that is kept back on, the response looks as Node's does after its end: its headers have been sent, its status
 * is settled, and what is written to it fails. So a handler that answers twice does here what it does elsewhere.
 */
export class HeldEnd {
  readonly #response: EndableResponse;
  readonly #cover: Cover;
  #holds = true;
  /** The end that is kept back, then what was called after it. */
  readonly #calls: (() => void)[] = [];
  #ended: Ended | undefined;

  /** @param onEnd called when the handler ends the response */
  constructor(response: EndableResponse, onEnd: () => void) {
    this.#response = response;
    const original = response.end;
    const end = (...parameters: unknown[]): unknown => {
      // Somebody may have wrapped this function meanwhile, and calls it when nothing is held any more.
      if (!this.#holds || this.#isRefused(parameters)) return original.apply(response, parameters);
      // Not by the name: what has wrapped this function would begin anew.
      this.#calls.push(() => void original.apply(response, parameters));
      if (this.#ended === undefined) {
        this.#ended = new Ended(response, this.#calls);
        onEnd();
      }
      return response;
    };
    this.#cover = new Cover(response, { end });
  }

  /** Whether Node throws for this end. To be found out before anything is committed, and by the handler. */
  #isRefused([chunk]: readonly unknown[]): boolean {
    const { statusCode } = this.#response;
    const isBody =
      ['undefined', 'string', 'function'].includes(typeof chunk) || chunk === null || chunk instanceof Uint8Array;
    return !isBody || !(Number.isInteger(statusCode) && statusCode >= 100 && statusCode <= 999);
  }

  /** The status that is to be told. */
  get status(): number {
    return this.#ended?.status ?? this.#response.statusCode;
  }

  /** Ends the response, if it was to be ended; from now on nothing is held. */
  release(): void {
    const calls = this.#calls.splice(0);
    this.#ended?.restoreStatus();
    this.drop();
    for (const call of calls) call();
  }

  /** Forgets that it was to be ended. */
  drop(): void {
    this.#holds = false;
    this.#calls.length = 0;
    this.#ended?.uncover();
    this.#ended = undefined;
    this.#cover.remove();
  }
}

const headerMethods = ['setHeader', 'setHeaders', 'appendHeader', 'removeHeader', 'writeHead'] as const;

/** HTTP/2 has no such message, and warns of those who ask for it. */
function messageOf(response: EndableResponse): string | undefined {
  return Object.hasOwn(response, 'statusMessage') ? response.statusMessage : undefined;
}

/** Word for word what Node throws. */
function refuseHeaders(): never {
  throw Object.assign(new Error('Cannot set headers after they are sent to the client'), {
    code: 'ERR_HTTP_HEADERS_SENT',
  });
}

/** How a response looks whose end is kept back. */
class Ended {
  readonly #response: EndableResponse;
  readonly #cover: Cover;
  readonly status: number;
  readonly #message: string | undefined;

  /** @param calls takes what can only be done when the response has ended */
  constructor(response: EndableResponse, calls: (() => void)[]) {
    this.#response = response;
    this.status = response.statusCode;
    this.#message = messageOf(response);
    const write = (...parameters: unknown[]): boolean => {
      calls.push(() => void (response as unknown as { write(...all: unknown[]): unknown }).write(...parameters));
      return false;
    };
    this.#cover = new Cover(response, {
      ...Object.fromEntries(headerMethods.map((name) => [name, refuseHeaders])),
      write,
      flushHeaders: () => {},
      headersSent: true,
      writableEnded: true,
      finished: true,
      // Node.js 22 concludes it from the others.
      writableFinished: false,
    });
  }

  /** What was set after the end has never been part of the response. */
  restoreStatus(): void {
    const response = this.#response;
    if (response.statusCode !== this.status) response.statusCode = this.status;
    if (messageOf(response) !== this.#message) response.statusMessage = this.#message;
  }

  uncover(): void {
    this.#cover.remove();
  }
}

/** Properties laid over those of an object for a while: others do the same, before and after. */
export class Cover {
  readonly #target: object;
  readonly #covers: readonly (readonly [name: string, value: unknown, under: PropertyDescriptor | undefined])[];

  constructor(target: object, values: Readonly<Record<string, unknown>>) {
    this.#target = target;
    this.#covers = Object.entries(values).map(([name, value]) => {
      const under = Object.getOwnPropertyDescriptor(target, name);
      Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable: false });
      return [name, value, under];
    });
  }

  remove(): void {
    for (const [name, value, under] of this.#covers) {
      // What somebody has laid over it stays.
      if (Object.getOwnPropertyDescriptor(this.#target, name)?.value !== value) continue;
      if (under === undefined) Reflect.deleteProperty(this.#target, name);
      else Object.defineProperty(this.#target, name, under);
    }
  }
}
