import type { Bar, Holder, LaneHolder, Note, PoolTick, Rest, Span } from '../wire.ts';

/** What can be pointed at and chosen. `to` is `Infinity` while it goes on. */
export type Item = LeaseItem | WriteItem | RestItem | QueueItem | NoteItem;

interface Place {
  /** The same for the same thing in a later view. */
  readonly key: string;
  readonly from: number;
  readonly to: number;
  /** Number of the tick it was told with; `Infinity` for what goes on. */
  readonly tick: number;
}

export interface LeaseItem extends Place {
  readonly type: 'lease';
  readonly lease: number;
  readonly connection: number;
  readonly label: string | undefined;
  readonly waited: number;
  readonly writes: readonly Span[];
  readonly reads: readonly Span[];
}

/** The write lane was held. */
export interface WriteItem extends Place {
  readonly type: 'write';
  readonly lease: number | undefined;
  readonly label: string | undefined;
  /** Where it was somebody of whom no lease is told. */
  readonly stranger: LaneHolder | undefined;
}

/** What was too short to be told one by one; `connection` is undefined in the write lane, where `rest` sums up all. */
export interface RestItem extends Place {
  readonly type: 'rest';
  readonly rest: Omit<Rest, 'connection'> & { readonly connection: number | undefined };
}

export interface QueueItem extends Place {
  readonly type: 'queue';
  readonly waiting: number;
  readonly laneWaiting: number;
}

export interface NoteItem extends Place {
  readonly type: 'note';
  readonly note: Note;
}

/** What a tick tells of a pool. */
export interface TickItems {
  readonly queue: readonly Item[];
  readonly write: readonly Item[];
  readonly leases: readonly LeaseItem[];
  readonly rest: readonly (RestItem & { readonly rest: Rest })[];
  readonly notes: readonly NoteItem[];
}

const known = new WeakMap<PoolTick, TickItems>();

/** Made once for each tick, since it is part of every picture for a minute. */
export function itemsOf(part: PoolTick, span: Span, tick: number): TickItems {
  const items = known.get(part) ?? made(part, span, tick);
  known.set(part, items);
  return items;
}

function made(part: PoolTick, span: Span, tick: number): TickItems {
  const [from, to] = span;
  const { waiting, laneWaiting } = part;
  const leases = part.bars.map((bar) => leaseOf(bar, tick));
  const wrote = wroteIn(part, span, tick);
  return {
    queue:
      waiting + laneWaiting === 0 ? [] : [{ type: 'queue', key: `q${tick}`, from, to, tick, waiting, laneWaiting }],
    write: [...leases.flatMap(writesOf), ...(wrote === undefined ? [] : [wrote])],
    leases,
    rest: part.rest.map((rest) => ({ type: 'rest', key: `r${tick}:${rest.connection}`, from, to, tick, rest })),
    notes: part.notes.map((note, index) => {
      return { type: 'note', key: `n${tick}:${index}`, from: note.at, to: note.at, tick, note };
    }),
  };
}

function wroteIn({ rest }: PoolTick, [from, to]: Span, tick: number): RestItem | undefined {
  const writing = rest.filter(({ wrote }) => wrote > 0);
  const [first] = writing;
  if (first === undefined) return undefined;
  const wrote = writing.reduce((sum, each) => sum + each.wrote, 0);
  const leases = writing.reduce((sum, each) => sum + each.leases, 0);
  const sum = { connection: undefined, leases, held: wrote, wrote, waited: 0, label: first.label };
  return { type: 'rest', key: `rw${tick}`, from, to, tick, rest: sum };
}

function leaseOf({ from, to, lease, connection, label, waited, writes, reads }: Bar, tick: number): LeaseItem {
  return { type: 'lease', key: `l${lease}`, from, to, tick, lease, connection, label, waited, writes, reads };
}

/** A transaction that was open when it was told goes on. */
export function heldBy({ from, lease, connection, label, waited, writes, reads }: Holder, now: number): LeaseItem {
  const to = Number.POSITIVE_INFINITY;
  const spans = { writes: goingOn(writes, now), reads: goingOn(reads, now) };
  return { type: 'lease', key: `l${lease}`, from, to, tick: to, lease, connection, label, waited, ...spans };
}

function goingOn(spans: readonly Span[], now: number): readonly Span[] {
  const last = spans.at(-1);
  return last === undefined || last[1] < now - 1 ? spans : [...spans.slice(0, -1), [last[0], Number.POSITIVE_INFINITY]];
}

export function writesOf({ lease, label, tick, writes }: LeaseItem): readonly WriteItem[] {
  return writes.map(([from, to], index) => {
    return { type: 'write', key: `w${lease}:${index}`, from, to, tick, lease, label, stranger: undefined };
  });
}
