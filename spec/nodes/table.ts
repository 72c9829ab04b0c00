/** One row of the summary. */
export interface Row {
  readonly part: string;
  readonly version: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Milliseconds. */
  readonly duration: number;
}

const headings = ['part', 'Node.js', 'passed', 'failed', 'skipped', 'time'] as const;

/** The summary, in columns: words to the left, figures to the right. */
export function formatTable(rows: readonly Row[]): string {
  const cells = rows.map(({ part, version, passed, failed, skipped, duration }) => [
    part,
    version,
    ...[passed, failed, skipped].map(String),
    formatDuration(duration),
  ]);
  const lines = [[...headings], ...cells];
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  const align = (text: string, column: number) => {
    const width = widths[column] ?? 0;
    return column < 2 ? text.padEnd(width) : text.padStart(width);
  };
  return lines.map((line) => line.map(align).join('  ').trimEnd()).join('\n');
}

export function formatDuration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

/** Says on stderr how far a run is: in one line that is written over on a terminal, else now and then. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  #told = 0;

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  say(text: string): void {
    this.#told = 0;
    this.clear();
    this.#stream.write(`${text}\n`);
  }

  /** How many tests there were so far. */
  count(title: string, total: number, failed: number): void {
    const text = `${title}: ${total} tests${failed > 0 ? `, ${failed} failed` : ''}`;
    if (this.#stream.isTTY) this.#stream.write(`\r\u001B[2K${text}`);
    else if (total - this.#told >= 1000) {
      this.#told = total;
      this.#stream.write(`${text}\n`);
    }
  }

  clear(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\u001B[2K');
  }
}
