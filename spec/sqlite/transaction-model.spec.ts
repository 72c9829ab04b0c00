import assert from 'node:assert/strict';
import test from 'ava';
import * as fc from 'fast-check';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';

/** How a part of a transaction is begun: by the pool, by the handle, by a synchronous function, or as a read. */
type Kind = 'savepoint' | 'handle' | 'join' | 'sync' | 'read';
type Order = 'sequence' | 'all' | 'allSettled';

interface Plan {
  readonly kind: Kind;
  /** Turns of the event loop, or microtasks, before its statements: after each further statement the next number. */
  readonly turns: readonly number[];
  readonly throws: 'never' | 'before' | 'after';
  readonly order: Order;
  /** Whether it goes on when a part of it has failed. */
  readonly catches: boolean;
  readonly parts: readonly Plan[];
}

interface Root extends Plan {
  /** With which others it shares a scope that has a connection, if with any. */
  readonly scope: 'own' | 'a' | 'b';
}

/** A plan with a name, and what it may not do where it would race, so that the model could not tell the outcome. */
interface Node extends Omit<Plan, 'parts'> {
  readonly id: string;
  readonly parts: readonly Node[];
}

function rootOf(id: string): string {
  return /^\d+/.exec(id)?.[0] ?? '';
}

/** The error a node throws by itself. */
class Planned extends Error {}

/** What became of a node: `'committed'`, or the error that its caller got, in words. */
type Outcome = string;

function named(plan: Plan, id: string, beside: boolean, mayJoin: boolean): Node {
  // What joins runs beside its siblings, and a synchronous part does not wait for its turn.
  const races = (beside && (plan.kind === 'join' || plan.kind === 'sync')) || (!mayJoin && plan.kind === 'join');
  const kind = races ? 'savepoint' : plan.kind;
  // Those that a joined function leaves behind would go on in the transaction around it, which has not ended.
  const order = kind === 'join' && plan.order === 'all' && !plan.catches ? 'allSettled' : plan.order;
  // If those of Promise.all are left behind, one that joins may or may not fail in time to matter.
  const joins = mayJoin && !(order === 'all' && !plan.catches);
  const areBeside = order !== 'sequence';
  const parts = kind === 'sync' ? [] : plan.parts.map((part, index) => named(part, `${id}.${index}`, areBeside, joins));
  return { ...plan, kind, order, id, parts };
}

/** What must become of one transaction, told from its plan alone. */
class Model {
  /** What its connection sees of it. */
  readonly rows: string[] = [];
  readonly outcomes = new Map<string, Outcome>();
  /** What each read must see. */
  readonly seen = new Map<string, readonly string[]>();
  /** Nodes that were left behind: they may come to anything, but not to a row. */
  readonly stray = new Set<string>();
  #failure: Outcome | undefined;

  run(node: Node, isInRead: boolean): Outcome {
    const outcome = this.#outcomeOf(node, isInRead);
    this.outcomes.set(node.id, outcome);
    return outcome;
  }

  #outcomeOf(node: Node, isInRead: boolean): Outcome {
    if (isInRead && node.kind !== 'read' && node.kind !== 'sync') return 'READ_ONLY';
    if (this.#failure !== undefined) return this.#aborted;
    const before = this.rows.length;
    let outcome =
      node.kind === 'sync' ? this.#sync(node, isInRead) : this.#body(node, isInRead || node.kind === 'read');
    if (node.kind === 'join') {
      if (outcome !== 'committed') this.#failure ??= outcome;
      return outcome;
    }
    if (outcome === 'committed' && this.#failure !== undefined && node.kind !== 'sync') outcome = this.#aborted;
    if (outcome !== 'committed') this.rows.length = before;
    return outcome;
  }

  get #aborted(): Outcome {
    return `TRANSACTION_ABORTED by ${this.#failure}`;
  }

  #sync(node: Node, isInRead: boolean): Outcome {
    if (node.throws === 'before') return node.id;
    if (isInRead) return 'READ_ONLY';
    this.rows.push(node.id);
    return node.throws === 'after' ? node.id : 'committed';
  }

  #body(node: Node, isInRead: boolean): Outcome {
    if (node.throws === 'before') return node.id;
    if (this.#failure !== undefined) return this.#aborted;
    if (isInRead) this.seen.set(node.id, [...this.rows]);
    else this.rows.push(node.id);
    const failure = node.order === 'sequence' ? this.#inSequence(node, isInRead) : this.#inParallel(node, isInRead);
    if (failure !== undefined) return failure;
    if (this.#failure !== undefined) return this.#aborted;
    if (!isInRead) this.rows.push(`${node.id} again`);
    return node.throws === 'after' ? node.id : 'committed';
  }

  #inSequence(node: Node, isInRead: boolean): Outcome | undefined {
    for (const part of node.parts) {
      if (this.#failure !== undefined) return this.#aborted;
      const outcome = this.run(part, isInRead);
      if (outcome !== 'committed' && !node.catches) return outcome;
    }
    return undefined;
  }

  #inParallel(node: Node, isInRead: boolean): Outcome | undefined {
    const outcomes = node.parts.map((part) => this.run(part, isInRead));
    if (node.order === 'allSettled' || node.catches) return undefined;
    // What is refused at once comes before what has to run first.
    const refusedAtOnce = isInRead && node.parts.some(({ kind }) => kind !== 'read');
    const failed = outcomes.findIndex((outcome) => outcome !== 'committed');
    for (const [index, part] of node.parts.entries()) {
      if (refusedAtOnce ? part.kind === 'read' : failed !== -1 && index > failed) this.#leaveBehind(part);
    }
    return refusedAtOnce ? 'READ_ONLY' : outcomes[failed];
  }

  #leaveBehind(node: Node): void {
    this.stray.add(node.id);
    for (const part of node.parts) this.#leaveBehind(part);
  }
}

/** Does to a pool what a plan says, and notes what came of it. */
class Run {
  readonly pool: SqlitePool;
  readonly outcomes = new Map<string, Outcome>();
  readonly seen = new Map<string, readonly string[]>();
  /** Every node that was begun, to wait for those that were left behind. */
  readonly running: Promise<unknown>[] = [];
  readonly #errors = new Map<string, Planned>();

  constructor(pool: SqlitePool) {
    this.pool = pool;
  }

  root(node: Node): Promise<void> {
    return this.#noted(
      node,
      node.kind === 'read'
        ? this.pool.read((db) => this.#body(node, db, true))
        : this.pool.transaction((tx) => this.#body(node, tx, false), {
            nesting: node.kind === 'join' ? 'join' : 'savepoint',
          }),
    );
  }

  /** Begins a part in the very step in which it is called. */
  #part(node: Node, db: LeasedDatabase, isInRead: boolean): Promise<void> {
    return this.#noted(node, this.#begun(node, db, isInRead));
  }

  async #begun(node: Node, db: LeasedDatabase, isInRead: boolean): Promise<void> {
    switch (node.kind) {
      case 'savepoint':
      case 'join':
        return this.pool.transaction((tx) => this.#body(node, tx, isInRead), { nesting: node.kind });
      case 'handle':
        return db.transaction(async () => this.#body(node, db, isInRead))();
      case 'read':
        return this.pool.read((same) => this.#body(node, same, true));
      case 'sync':
        return db.transaction(() => {
          this.#throwIf(node, 'before');
          this.#insert(db, node.id);
          this.#throwIf(node, 'after');
        })();
    }
  }

  async #noted(node: Node, running: Promise<void>): Promise<void> {
    const noted = running.then(
      () => void this.outcomes.set(node.id, 'committed'),
      (error: unknown) => {
        this.outcomes.set(node.id, this.#describe(error));
        throw error;
      },
    );
    this.running.push(noted);
    return noted;
  }

  async #body(node: Node, db: LeasedDatabase, isInRead: boolean): Promise<void> {
    const write = (name: string) => (isInRead ? this.#look(node, db) : this.#insert(db, name));
    await this.#turns(node, 0);
    this.#throwIf(node, 'before');
    write(node.id);
    await this.#turns(node, 1);
    if (node.order === 'sequence') {
      for (const part of node.parts) {
        // Whoever has outlived his transaction must not begin one of his own.
        db.prepare('SELECT 1').get();
        const running = this.#part(part, db, isInRead);
        await (node.catches ? running.catch(() => {}) : running);
      }
    } else {
      db.prepare('SELECT 1').get();
      const running = node.parts.map((part) => this.#part(part, db, isInRead));
      await (node.order === 'all' && !node.catches ? Promise.all(running) : Promise.allSettled(running));
    }
    await this.#turns(node, 2);
    write(`${node.id} again`);
    this.#throwIf(node, 'after');
  }

  /** 0 goes on at once, odd numbers wait for as many microtasks, even ones for half as many turns of the loop. */
  async #turns({ turns }: Node, index: number): Promise<void> {
    const count = turns[index] ?? 0;
    if (count === 0) return;
    for (let turn = 0; turn < count; turn += count % 2 === 1 ? 1 : 2) await (count % 2 === 1 ? undefined : settled());
  }

  #throwIf(node: Node, when: Plan['throws']): void {
    if (node.throws !== when) return;
    const error = new Planned(node.id);
    this.#errors.set(node.id, error);
    throw error;
  }

  #insert(db: LeasedDatabase, name: string): void {
    db.prepare('INSERT INTO node VALUES (?, ?)').run(rootOf(name), name);
  }

  #look(node: Node, db: LeasedDatabase): void {
    const rows = db.prepare<[string], string>('SELECT name FROM node WHERE root = ? ORDER BY rowid').pluck();
    const seen = rows.all(rootOf(node.id));
    const before = this.seen.get(node.id);
    if (before !== undefined) assert.deepEqual(seen, before, `${node.id} has seen two states`);
    this.seen.set(node.id, seen);
  }

  #describe(error: unknown): Outcome {
    if (error instanceof Planned) {
      assert.equal(this.#errors.get(error.message), error, 'not the error that was thrown');
      return error.message;
    }
    const { code, cause } = error as { readonly code?: unknown; readonly cause?: unknown };
    if (typeof code !== 'string' || !code.startsWith('ERR_LEASEHOLD_')) return `unexpected ${String(error)}`;
    const name = code.slice('ERR_LEASEHOLD_'.length);
    return cause === undefined ? name : `${name} by ${this.#describe(cause)}`;
  }
}

/** What a node that was left behind may come to, beside the errors of the plan. */
const strayOutcomes = new Set(['committed', 'READ_ONLY', 'TRANSACTION_ENDED', 'SCOPE_ENDED']);

async function compare(pool: SqlitePool, plans: readonly Root[]): Promise<void> {
  await pool.run('DELETE FROM node');
  const run = new Run(pool);
  const roots = plans.map((plan, index) =>
    named({ ...plan, kind: plan.kind === 'sync' ? 'savepoint' : plan.kind }, `${index}`, false, true),
  );
  const inScope = (scope: Root['scope']) => roots.filter((_, index) => plans[index]?.scope === scope);
  const together = (nodes: readonly Node[]) => Promise.allSettled(nodes.map((node) => run.root(node)));
  const bystanders = { written: 0 };
  const scoped = (nodes: readonly Node[]) =>
    pool.withConnection(async (db) => {
      const running = together(nodes);
      // Another branch of the scope: its statements either stand alone or are refused, but are never part of another's.
      for (let turn = 0; turn < 6; turn++) {
        await (turn % 2 === 0 ? undefined : settled());
        try {
          await pool.run("INSERT INTO node VALUES (NULL, 'bystander')");
          bystanders.written++;
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'ERR_LEASEHOLD_TRANSACTION_BUSY');
        }
      }
      await running;
      assert.equal(db.inTransaction, false);
    });
  await Promise.all([together(inScope('own')), scoped(inScope('a')), scoped(inScope('b'))]);
  await Promise.allSettled(run.running);

  const expected: string[] = Array.from({ length: bystanders.written }, () => 'bystander');
  for (const root of roots) {
    const model = new Model();
    // What joins nothing is a transaction of its own.
    if (model.run({ ...root, kind: root.kind === 'read' ? 'read' : 'savepoint' }, false) === 'committed') {
      expected.push(...model.rows);
    }
    for (const [id, outcome] of run.outcomes) {
      if (rootOf(id) !== root.id) continue;
      if (!model.stray.has(id)) assert.equal(outcome, model.outcomes.get(id), `outcome of ${id}`);
      else assert.ok(strayOutcomes.has(outcome) || /^[\d.]+$/.test(outcome), `outcome of stray ${id}: ${outcome}`);
    }
    for (const [id, outcome] of model.outcomes) {
      if (!model.stray.has(id)) assert.equal(run.outcomes.get(id), outcome, `outcome of ${id}`);
    }
    for (const [id, rows] of model.seen) {
      if (!model.stray.has(id)) assert.deepEqual(run.seen.get(id), rows, `seen by ${id}`);
    }
  }
  const rows = await pool.all<{ readonly name: string }>('SELECT name FROM node');
  assert.deepEqual(rows.map(({ name }) => name).toSorted(), expected.toSorted());
}

function planOf(depth: number): fc.Arbitrary<Plan> {
  return fc.record({
    kind: fc.oneof(
      { weight: 4, arbitrary: fc.constant<Kind>('savepoint') },
      { weight: 4, arbitrary: fc.constantFrom<Kind>('handle', 'join', 'sync', 'read') },
    ),
    turns: fc.array(fc.nat({ max: 4 }), { minLength: 3, maxLength: 3 }),
    throws: fc.oneof(
      { weight: 5, arbitrary: fc.constant<Plan['throws']>('never') },
      { weight: 1, arbitrary: fc.constantFrom<Plan['throws']>('before', 'after') },
    ),
    order: fc.constantFrom<Order>('sequence', 'all', 'allSettled'),
    catches: fc.boolean(),
    parts: depth === 0 ? fc.constant([]) : fc.array(planOf(depth - 1), { maxLength: 3, size: 'max' }),
  });
}

const root: fc.Arbitrary<Root> = fc
  .tuple(planOf(4), fc.constantFrom<Root['scope']>('own', 'a', 'b'))
  .map(([tree, scope]) => ({ ...tree, scope }));

const runs = Number(process.env['MODEL_RUNS'] ?? 250);

test('whatever trees of transactions run side by side, each keeps or loses exactly its own rows', async (t) => {
  const pool = temporaryPool(t);
  const errors: unknown[] = [];
  pool.on('error', (error) => void errors.push(error));
  pool.on('dirty', (event) => void errors.push(event));
  await pool.run('CREATE TABLE node (root TEXT, name TEXT)');
  await fc.assert(
    fc.asyncProperty(fc.array(root, { minLength: 1, maxLength: 5 }), async (plans) => {
      errors.length = 0;
      await compare(pool, plans);
      const { laneHeld, laneWaiting, leased, waiting } = pool.stats();
      assert.deepEqual(
        { laneHeld, laneWaiting, leased, waiting },
        { laneHeld: 0, laneWaiting: 0, leased: 0, waiting: 0 },
      );
      assert.deepEqual(errors, []);
    }),
    { numRuns: runs, includeErrorInReport: true },
  );
  t.deepEqual(await pool.all('PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
});
