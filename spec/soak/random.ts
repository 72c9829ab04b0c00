/**
 * Random numbers that are a function of their seeds alone: sfc32, three words of state and a counter, by Chris Doty-Humphrey.
 * It passes PractRand, has no bad seeds, and is 32-bit integer arithmetic, so that it yields the same on every machine.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** Each seed changes everything: neighbouring workers have nothing in common. */
  constructor(...seeds: readonly number[]) {
    let hash = 0x9e3779b9;
    const next = (value: number): number => {
      // The finalizer of MurmurHash3.
      hash = Math.imul(hash ^ value ^ (hash >>> 16), 0x85ebca6b);
      hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
      hash ^= hash >>> 16;
      return hash | 0;
    };
    for (const seed of seeds) next(seed);
    this.#a = next(1);
    this.#b = next(2);
    this.#c = next(3);
    for (let round = 0; round < 12; round++) this.#next();
  }

  /** Both bounds included. */
  integer(least: number, most: number): number {
    return least + Math.floor((this.#next() / 2 ** 32) * (most - least + 1));
  }

  chance(probability: number): boolean {
    return this.#next() / 2 ** 32 < probability;
  }

  pick<Item>(items: readonly [Item, ...Item[]]): Item {
    return items[this.integer(0, items.length - 1)] as Item;
  }

  /** One of the names, each as often as its weight says. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
    const entries = Object.entries(weights) as [Name, number][];
    let left = this.integer(
      1,
      entries.reduce((sum, [, weight]) => sum + weight, 0),
    );
    for (const [name, weight] of entries) {
      left -= weight;
      if (left <= 0) return name;
    }
    throw new Error('There is nothing to choose from');
  }

  #next(): number {
    const result = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0;
    return result >>> 0;
  }
}
