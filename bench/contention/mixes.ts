/** How long one contender has its turn in a round: until the time is over, or so many operations have been begun. */
export interface Turn {
  readonly milliseconds: number;
  readonly operations: number;
}

/** One row of the matrix: so many writes in ten operations. */
export interface Mix {
  readonly id: string;
  readonly title: string;
  readonly writesInTen: number;
  /**
   * Contenders that stop the event loop for a second at a time, and how many operations they are given instead, also
   * for `--quick`. They take part in one round only.
   */
  readonly stalling: Readonly<Record<string, { readonly operations: number; readonly quick: number }>>;
}

/** Loops at once, each with one operation after the other. */
export const loops = 64;

/** Milliseconds of a turn. */
const full = 1500;
const quickly = 50;

export const mixes: readonly Mix[] = [
  // Of 64 the first would commit after 63 s: the others fail first, each after its second.
  { id: 'write', title: '100 % write', writesInTen: 10, stalling: { 'generic-pool': { operations: 8, quick: 2 } } },
  {
    id: 'mixed',
    title: '90 % read, 10 % write',
    writesInTen: 1,
    stalling: { 'generic-pool': { operations: 200, quick: 10 } },
  },
  { id: 'read', title: '100 % read', writesInTen: 0, stalling: {} },
];

export function turnOf({ stalling }: Mix, contender: string, quick: boolean): Turn {
  const bound = stalling[contender];
  if (bound === undefined) return { milliseconds: quick ? quickly : full, operations: Infinity };
  return { milliseconds: Infinity, operations: quick ? bound.quick : bound.operations };
}

/** What a contender does before the first round, for V8 to compile it. */
export function warmUpOf(quick: boolean): Turn {
  return { milliseconds: quick ? quickly : full, operations: 20_000 };
}

/**
 * Whether an operation of a mix writes: the same ones for every contender, exactly so many in each ten, but not always
 * the same of the ten. Writes ten apart would never meet in a pool of 8.
 */
export function isWrite({ writesInTen }: Mix, operation: number): boolean {
  return (operation + scrambled(Math.floor(operation / 10))) % 10 < writesInTen;
}

/** A number that looks like chance and is always the same. */
function scrambled(seed: number): number {
  let bits = Math.imul(seed + 1, 0x9e3779b1);
  bits = Math.imul(bits ^ (bits >>> 15), 0x85ebca6b);
  return (bits ^ (bits >>> 13)) >>> 0;
}
