/** Says on stderr how far a run is: one line that is written over on a terminal, else a line for each row. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  row(title: string): void {
    if (!this.#stream.isTTY) this.#stream.write(`${title}\n`);
  }

  round(title: string, round: number, rounds: number): void {
    if (this.#stream.isTTY) this.#stream.write(`\r\u001B[2K${title}: round ${round} of ${rounds}`);
  }

  done(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\u001B[2K');
  }
}
