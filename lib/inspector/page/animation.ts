/** Frames: one after the other while something moves and is seen, else one whenever it is asked for. */
export class Animation {
  readonly #paint: () => void;
  readonly #moving: () => boolean;
  readonly #still = matchMedia('(prefers-reduced-motion: reduce)');
  #frame: number | undefined;

  constructor(paint: () => void, moving: () => boolean) {
    this.#paint = paint;
    this.#moving = moving;
    document.addEventListener('visibilitychange', () => this.draw());
    this.#still.addEventListener('change', () => this.draw());
  }

  /** Asks for a frame. A page that is hidden gets none, and is painted once it is seen. */
  draw(): void {
    if (this.#frame !== undefined || document.hidden) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = undefined;
      this.#paint();
      if (!this.#still.matches && this.#moving()) this.draw();
    });
  }
}
