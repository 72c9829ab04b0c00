/** A test that failed, or a file that could not be run to its end. */
export interface Failure {
  readonly title: string;
  /** What is reported of it, as it is. */
  readonly details: readonly string[];
}

/** Reads what a run of tests says in the Test Anything Protocol, line by line while it is said. */
export class TapReader {
  passed = 0;
  skipped = 0;
  readonly failures: Failure[] = [];
  /** How many tests were announced at the end. A run that ended before its time announces nothing. */
  announced: number | undefined;
  /** Details of the failure that was read last, while there may be more of them. */
  #details: string[] | undefined;
  #isInside = false;
  readonly #onFailure: (failure: Failure) => void;

  /** `onFailure` is called with each failure when all of its details have been read. */
  constructor(onFailure: (failure: Failure) => void = () => {}) {
    this.#onFailure = onFailure;
  }

  get total(): number {
    return this.passed + this.skipped + this.failures.length;
  }

  read(line: string): void {
    if (this.#isInside) {
      if (line === '  ...') this.end();
      else this.#details?.push(line);
      return;
    }
    if (line === '  ---') {
      this.#isInside = true;
      return;
    }
    this.end();
    const [, not, title = '', mark] = /^(not )?ok \d+ - (.*?)(?: # (SKIP|TODO)\b.*)?$/.exec(line) ?? [];
    if (mark !== undefined) this.skipped++;
    else if (not !== undefined) {
      this.#details = [];
      this.failures.push({ title, details: this.#details });
    } else if (line.startsWith('ok ')) this.passed++;
    else {
      const [, last] = /^1\.\.(\d+)$/.exec(line) ?? [];
      if (last !== undefined) this.announced = Number(last);
    }
  }

  /** No more is to come of the failure that was read last. */
  end(): void {
    this.#isInside = false;
    const failure = this.#details && this.failures.at(-1);
    this.#details = undefined;
    if (failure !== undefined) this.#onFailure(failure);
  }
}
