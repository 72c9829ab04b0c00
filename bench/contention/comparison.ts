/** How much of it. */
export interface Size {
  /** Operations of one figure. */
  readonly times: number;
  /** Transactions that wait meanwhile. */
  readonly queued: number;
}

/** One way to do what a comparison is about. */
export interface Side {
  readonly name: string;
  /** One figure, in nanoseconds. */
  sample(): Promise<number>;
}

/** A row that sets ways to do one thing side by side. The first is what the others are measured against. */
export interface Comparison {
  readonly id: string;
  readonly title: (size: Size) => string;
  readonly size: Size;
  /** For `--quick`. */
  readonly quick: Size;
  /** How many times the rounds of a mix it is given, also of those that are dropped. Once, unless said. */
  readonly share?: number;
  /** Opens what it needs on copies of a file. */
  open(file: string, size: Size): Opened;
}

interface Opened {
  readonly sides: readonly Side[];
  /** Throws where anything is left. */
  close(): Promise<void>;
}
