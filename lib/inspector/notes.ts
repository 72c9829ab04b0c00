import { describeCause, describeKind, isError, textOf } from '../errors.ts';
import type { PoolEventName, PoolListener } from '../events.ts';
import { excerpt, labelOf } from './excerpt.ts';
import type { Note } from './wire.ts';

// Of each tick. What comes too often for that is counted by the pool.
const mostNotes = 20;

const longestMessage = 2000;

/** Remembered for the details of a lease. */
const mostRemembered = 500;

/** What is used of a pool to hear of what went wrong. */
export interface NotedPool {
  on<Name extends PoolEventName>(name: Name, listener: PoolListener<Name>): unknown;
  off<Name extends PoolEventName>(name: Name, listener: PoolListener<Name>): unknown;
}

/** What went wrong in a pool, in words for everybody who may see the inspector. */
export class Notes {
  readonly #timeOfDay: () => number;
  #fresh: Note[] = [];
  readonly #remembered: Note[] = [];

  constructor(timeOfDay: () => number) {
    this.#timeOfDay = timeOfDay;
  }

  /** The function that is returned ends it. */
  follow(pool: NotedPool): () => void {
    const ends: (() => void)[] = [];
    const on = <Name extends PoolEventName>(name: Name, listener: PoolListener<Name>): void => {
      pool.on(name, listener);
      ends.push(() => void pool.off(name, listener));
    };
    on('timeout', ({ label, error }) => this.#add('timeout', { label, message: messageOf(error) }));
    on('leak', ({ holder: { id: lease, connection, label }, message }) =>
      this.#add('leak', { lease, connection, label, message }),
    );
    on('dirty', ({ lease, connection, label, message }) => this.#add('dirty', { lease, connection, label, message }));
    on('deadlock', ({ label, message }) => this.#add('deadlock', { label, message }));
    on('discard', ({ connection, reason }) =>
      this.#add('discard', {
        connection,
        message: `Connection ${connection} was closed instead of pooled: ${reason}.`,
      }),
    );
    on('replace', ({ message }) => this.#add('replace', { message }));
    on('error', (error) => this.#add('error', { message: messageOf(error) }));
    return () => {
      for (const end of ends) end();
    };
  }

  /** Those since the last call. */
  take(): readonly Note[] {
    const fresh = this.#fresh;
    this.#fresh = [];
    return fresh;
  }

  /** Those that name a lease, oldest first. */
  of(lease: number): readonly Note[] {
    return this.#remembered.filter((note) => note.lease === lease);
  }

  #add(kind: Note['kind'], about: Partial<Note> & { readonly message: string }): void {
    if (this.#fresh.length >= mostNotes) return;
    const note: Note = {
      at: this.#timeOfDay(),
      kind,
      label: labelOf(about.label),
      lease: about.lease,
      connection: about.connection,
      message: excerpt(about.message, longestMessage),
    };
    this.#fresh.push(note);
    this.#remembered.push(note);
    if (this.#remembered.length > mostRemembered) this.#remembered.shift();
  }
}

/**
 * Our own messages hold no value and no SQL, but for the message of another's error where they quote one. Of that, since nobody
 * knows what it says, name and code have to do.
 */
function messageOf(error: Error): string {
  if (textOf(error, 'code')?.startsWith('ERR_LEASEHOLD_') !== true) return describeKind(error);
  const message = textOf(error, 'message') ?? '';
  const { cause } = error;
  return isError(cause) ? message.replace(describeCause(cause), () => messageOf(cause)) : message;
}
