import { accounts, type Transfer } from './bank.ts';
import { Random } from './random.ts';

/** How often each kind of operation comes, in relation to the others. */
const weights = {
  transfer: 30,
  nested: 12,
  separate: 4,
  synchronous: 10,
  statement: 8,
  audit: 12,
  reading: 12,
  explicit: 8,
  burst: 2,
  leftovers: 4,
  outliving: 4,
  leak: 1,
  resize: 2,
  upkeep: 4,
} as const;

export type Kind = keyof typeof weights;

/** What is awaited: nothing, a turn of the loop, or so many milliseconds. */
export type Pause = 'none' | 'turn' | number;

/** Where a transaction is run. */
export type Place = 'alone' | 'scope' | 'bound' | 'handle' | 'write scope' | 'open';

/** One of several transfers of an operation. */
export interface Part extends Transfer {
  /** Number in the journal. */
  readonly number: number;
  readonly nesting: 'savepoint' | 'join';
  readonly throws: boolean;
}

/** All that one operation will do. Drawn whole before it begins, so that nothing depends on how it goes. */
export interface Plan {
  readonly number: number;
  readonly kind: Kind;
  readonly pool: 'main' | 'hooked';
  readonly place: Place;
  readonly mode: 'immediate' | 'exclusive';
  readonly timeout: number | undefined;
  /** Milliseconds from its begin until its signal is aborted. */
  readonly abortAfter: number | undefined;
  readonly priority: number;
  readonly pauses: readonly [Pause, Pause, Pause];
  readonly throws: boolean;
  readonly parts: readonly [Part, ...Part[]];
  /** Whether its parts run side by side. */
  readonly parallel: boolean;
  /** Which of the ways to do it. */
  readonly variant: number;
}

/** Numbers in the journal that one operation has for itself. */
const mostParts = 8;

/** The operations of one process, in order. */
export class Plans {
  readonly #random: Random;
  #last = 0;

  constructor(seed: number, worker: number, incarnation: number) {
    this.#random = new Random(seed, worker, incarnation);
  }

  next(): Plan {
    const random = this.#random;
    const number = ++this.#last;
    const part = (index: number): Part => ({
      number: number * mostParts + index,
      source: random.integer(1, accounts),
      target: random.integer(1, accounts),
      amount: random.integer(1, 50),
      nesting: random.chance(0.7) ? 'savepoint' : 'join',
      throws: random.chance(0.25),
    });
    const pause = (): Pause => (random.chance(0.3) ? 'none' : random.chance(0.6) ? 'turn' : random.integer(1, 4));
    return {
      number,
      kind: random.weighted(weights),
      pool: random.chance(0.7) ? 'main' : 'hooked',
      place: random.pick<Place>([
        'alone',
        'alone',
        'alone',
        'scope',
        'bound',
        'bound',
        'handle',
        'write scope',
        'open',
      ]),
      mode: random.chance(0.9) ? 'immediate' : 'exclusive',
      timeout: random.chance(0.15) ? random.integer(1, 60) : undefined,
      abortAfter: random.chance(0.12) ? random.integer(0, 30) : undefined,
      priority: random.integer(-1, 1),
      pauses: [pause(), pause(), pause()],
      throws: random.chance(0.15),
      parts: [part(0), ...Array.from({ length: random.integer(1, 3) }, (_, index) => part(index + 1))],
      parallel: random.chance(0.5),
      variant: random.integer(0, 99),
    };
  }
}
