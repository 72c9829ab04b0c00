/** One event of a stream of server-sent events. */
export interface StreamEvent {
  /** `message` where the stream does not say. */
  readonly name: string;
  readonly data: string;
}

// Of one event. A report of a large pool is some hundred kilobytes.
const mostCharacters = 64 * 1024 * 1024;
// Of a line, even if nothing is in it: it takes room all the same. A report is one line.
const lineCost = 100;

/**
 * Reads server-sent events from text that arrives in pieces, cut anywhere. Comments, `id` and `retry` are read over, and an event
 * that the stream ends in the middle of is dropped, as the standard has it.
 */
export class EventStreamParser {
  #rest = '';
  // The last piece ended with a carriage return: a line feed at the start of the next is the other half of that end of line.
  #afterReturn = false;
  #name = '';
  #data: string[] = [];
  #size = 0;
  #begun = false;

  /** The events that `text` completes. @throws Error where one is longer than anything that an inspector sends */
  push(text: string): StreamEvent[] {
    let piece = text;
    if (!this.#begun && piece !== '') {
      this.#begun = true;
      if (piece.startsWith('\ufeff')) piece = piece.slice(1);
    }
    if (this.#afterReturn && piece !== '') {
      if (piece.startsWith('\n')) piece = piece.slice(1);
      this.#afterReturn = false;
    }
    if (piece.endsWith('\r')) this.#afterReturn = true;
    const lines = piece.split(/\r\n|\n|\r/);
    lines[0] = this.#rest + (lines[0] ?? '');
    this.#rest = lines.pop() ?? '';
    if (this.#size + this.#rest.length > mostCharacters) throw new Error('An event is longer than 64 MB.');
    return lines.flatMap((line) => this.#line(line) ?? []);
  }

  #line(line: string): StreamEvent | undefined {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return undefined;
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#name = value;
    if (field === 'data') {
      this.#data.push(value);
      this.#size += value.length + lineCost;
    }
    return undefined;
  }

  #dispatch(): StreamEvent | undefined {
    const event = { name: this.#name === '' ? 'message' : this.#name, data: this.#data.join('\n') };
    const empty = this.#data.length === 0;
    this.#name = '';
    this.#data = [];
    this.#size = 0;
    return empty ? undefined : event;
  }
}
