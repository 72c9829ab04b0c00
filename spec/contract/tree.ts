import * as fc from 'fast-check';

/** How a part is begun: `read` refuses writes, `join` takes part in what is around it. */
type Kind = 'savepoint' | 'join' | 'read';

/** What it does beside writing: nothing; it throws; a statement in it is refused; one is, and it gets over that. */
type Incident = 'nothing' | 'throw' | 'fail' | 'swallow';

export interface Plan {
  readonly kind: Kind;
  readonly before: Incident;
  readonly after: Incident;
  readonly order: 'sequence' | 'parallel';
  /** Whether it gets over what its parts throw. */
  readonly catches: boolean;
  /** Turns of the event loop that it lets pass. */
  readonly pause: number;
  readonly parts: readonly Plan[];
}

export interface Node extends Plan {
  readonly id: string;
  readonly parts: readonly Node[];
}

export interface Root {
  readonly plan: Plan;
  /** Whether it runs in a scope with others, whose transactions take turns. */
  readonly isShared: boolean;
}

function plan(depth: number): fc.Arbitrary<Plan> {
  const incident = fc.oneof(
    { weight: 10, arbitrary: fc.constant<Incident>('nothing') },
    { weight: 1, arbitrary: fc.constantFrom<Incident>('throw', 'fail', 'swallow') },
  );
  return fc.record({
    kind: fc.oneof(
      { weight: 4, arbitrary: fc.constant<Kind>('savepoint') },
      { weight: 2, arbitrary: fc.constant<Kind>('join') },
      { weight: 1, arbitrary: fc.constant<Kind>('read') },
    ),
    before: incident,
    after: incident,
    order: fc.constantFrom('sequence', 'parallel'),
    catches: fc.boolean(),
    pause: fc.nat({ max: 2 }),
    parts: depth === 0 ? fc.constant([]) : fc.array(plan(depth - 1), { maxLength: 3, size: 'max' }),
  });
}

export const roots: fc.Arbitrary<readonly Root[]> = fc.array(fc.record({ plan: plan(3), isShared: fc.boolean() }), {
  minLength: 1,
  maxLength: 4,
  size: 'max',
});

/** What joins runs at once, also beside others; so it is a part of its own where it is not alone. */
export function named(of: Plan, id: string, isAlone = true): Node {
  const kind = of.kind === 'join' && !isAlone ? 'savepoint' : of.kind;
  const parts = of.parts.map((part, index) => named(part, `${id}.${index}`, of.order === 'sequence'));
  return { ...of, kind, id, parts };
}

/** `committed`, or what it is refused with: the name of the node that has thrown, or what Leasehold says. */
export type Outcome = string;

/** What can be undone alone. */
interface Level {
  /** Whether the database goes on with it only once it is undone. */
  isStuck: boolean;
}

/** What has to become of one transaction, by the contract alone. */
export class Model {
  /** The names that are written and not undone. */
  readonly rows: string[] = [];
  readonly outcomes = new Map<string, Outcome>();
  readonly #failureEndsTransaction: boolean;
  /** Whether something has failed that can not be undone alone. */
  #isBroken = false;

  constructor(failureEndsTransaction: boolean) {
    this.#failureEndsTransaction = failureEndsTransaction;
  }

  /** The rows that it leaves. */
  root(node: Node): readonly string[] {
    const own = { ...node, kind: node.kind === 'join' ? 'savepoint' : node.kind } as const;
    return this.#run(own, false, { isStuck: false }) === 'committed' ? this.rows : [];
  }

  #run(node: Node, isInRead: boolean, level: Level): Outcome {
    const outcome = this.#outcomeOf(node, isInRead, level);
    this.outcomes.set(node.id, outcome);
    return outcome;
  }

  #outcomeOf(node: Node, isInRead: boolean, around: Level): Outcome {
    if (isInRead && node.kind !== 'read') return 'READ_ONLY';
    if (this.#isBroken) return 'TRANSACTION_ABORTED';
    if (node.kind === 'join') {
      const outcome = this.#body(node, isInRead, around);
      if (outcome !== 'committed') this.#isBroken = true;
      return outcome;
    }
    if (around.isStuck) return 'TRANSACTION_ABORTED';
    const before = this.rows.length;
    const level = { isStuck: false };
    let outcome = this.#body(node, isInRead || node.kind === 'read', level);
    if (outcome === 'committed' && this.#isHeldUp(level)) outcome = 'TRANSACTION_ABORTED';
    if (outcome !== 'committed') this.rows.length = before;
    return outcome;
  }

  #body(node: Node, isReading: boolean, level: Level): Outcome {
    const begun = this.#step(node.id, node, node.before, isReading, level);
    if (begun !== undefined) return begun;
    let failure: Outcome | undefined;
    for (const part of node.parts) {
      const outcome = this.#run(part, isReading, level);
      if (outcome !== 'committed' && !node.catches) failure ??= outcome;
      if (failure !== undefined && node.order === 'sequence') return failure;
    }
    if (failure !== undefined) return failure;
    return this.#step(`${node.id} again`, node, node.after, isReading, level) ?? 'committed';
  }

  /** Writes, and what goes with that. `undefined` where nothing is thrown. */
  #step(name: string, { id }: Node, incident: Incident, isReading: boolean, level: Level): Outcome | undefined {
    if (this.#isHeldUp(level)) return 'TRANSACTION_ABORTED';
    if (!isReading) this.rows.push(name);
    if (incident === 'throw') return id;
    if (incident === 'nothing') return undefined;
    level.isStuck = this.#failureEndsTransaction;
    return incident === 'fail' ? 'refused' : undefined;
  }

  #isHeldUp({ isStuck }: Level): boolean {
    return this.#isBroken || isStuck;
  }
}
