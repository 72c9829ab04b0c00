const width = 100;
/** Over how many steps a pace is measured: half a second. */
const span = 5;

/** How many operations have succeeded in each tenth of a second. */
export class Tempo {
  readonly #start = performance.now();
  readonly #steps: number[] = [];
  total = 0;

  count(): void {
    const step = this.#step(performance.now());
    this.#steps[step] = (this.#steps[step] ?? 0) + 1;
    this.total++;
  }

  /** Operations a second in the `seconds` before `time`. */
  before(time: number, seconds: number): number {
    const last = this.#step(time);
    const first = Math.max(0, last - (seconds * 1000) / width);
    return (this.#sum(first, last) * 1000) / ((last - first) * width || 1);
  }

  /** Milliseconds from `time` until operations go on at half the pace of before, `undefined` if they never do. */
  back(time: number, pace: number): number | undefined {
    for (let step = this.#step(time); step + span <= this.#steps.length; step++) {
      if ((this.#sum(step, step + span) * 1000) / (span * width) >= pace / 2)
        return Math.max(0, this.#start + step * width - time);
    }
    return undefined;
  }

  #step(time: number): number {
    return Math.floor((time - this.#start) / width);
  }

  #sum(from: number, to: number): number {
    let sum = 0;
    for (let step = from; step < to; step++) sum += this.#steps[step] ?? 0;
    return sum;
  }
}
