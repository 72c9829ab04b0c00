import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { settled } from '../support/gate.ts';
import { type ContractHandle, type ContractPool, contractOf, Enough, type Subject, until, watch } from './subject.ts';
import { Model, type Node, named, type Outcome, type Root, roots } from './tree.ts';

const runs = Number(process.env['MODEL_RUNS'] ?? 250);

/** Does to a pool what a plan says, and notes what came of it. */
class Run<Db extends ContractHandle> {
  readonly outcomes = new Map<string, Outcome>();
  readonly #subject: Subject<Db>;
  readonly #pool: ContractPool<Db>;

  constructor(subject: Subject<Db>, pool: ContractPool<Db>) {
    this.#subject = subject;
    this.#pool = pool;
  }

  async part(node: Node, isInRead = false): Promise<void> {
    const { kind, id } = node;
    try {
      await (kind === 'read'
        ? this.#pool.read((db) => this.#body(node, db, true))
        : this.#pool.transaction((tx) => this.#body(node, tx, isInRead), { nesting: kind }));
      this.outcomes.set(id, 'committed');
    } catch (error) {
      this.outcomes.set(id, this.#describe(error));
      throw error;
    }
  }

  async #body(node: Node, db: Db, isReading: boolean): Promise<void> {
    const { insert, names } = this.#subject;
    const step = async (name: string) => void (await (isReading ? names(db) : insert(db, name)));
    await step(node.id);
    await this.#pause(node);
    await this.#incident(node, node.before, db);
    if (node.order === 'sequence') {
      for (const part of node.parts) {
        const running = this.part(part, isReading);
        await (node.catches ? running.catch(() => {}) : running);
      }
    } else {
      const ended = await Promise.allSettled(node.parts.map((part) => this.part(part, isReading)));
      const failed = ended.find((outcome) => outcome.status === 'rejected');
      if (failed !== undefined && !node.catches) throw failed.reason;
    }
    await this.#pause(node);
    await step(`${node.id} again`);
    await this.#incident(node, node.after, db);
  }

  async #pause({ pause }: Node): Promise<void> {
    for (let turn = 0; turn < pause; turn++) await settled();
  }

  async #incident({ id }: Node, incident: Node['before'], db: Db): Promise<void> {
    if (incident === 'throw') throw new Enough(id);
    if (incident !== 'fail' && incident !== 'swallow') return;
    const failing = this.#subject.fail(db);
    await (incident === 'fail' ? failing : failing.catch(() => {}));
  }

  #describe(error: unknown): Outcome {
    if (error instanceof Enough) return error.message;
    const { code } = error as { readonly code?: unknown };
    if (code === this.#subject.refusal.code) return 'refused';
    return typeof code === 'string' ? code.replace('ERR_LEASEHOLD_', '') : `unexpected ${String(error)}`;
  }
}

/** Trees of transactions, whatever they look like. */
export function testModel<Db extends ContractHandle>(subject: Subject<Db>): void {
  const { test, open, committed } = contractOf(subject);

  async function compare(pool: ContractPool<Db>, plans: readonly Root[], before: number): Promise<number> {
    const run = new Run(subject, pool);
    const nodes = plans.map(({ plan }, index) => named(plan, `${before}/${index}`));
    const together = (isShared: boolean) => {
      const chosen = nodes.filter((_, index) => plans[index]?.isShared === isShared);
      return Promise.allSettled(chosen.map((node) => run.part(node)));
    };
    await Promise.all([together(false), pool.withConnection(() => together(true))]);
    const models = nodes.map((node) => ({ id: node.id, model: new Model(subject.failureEndsTransaction), node }));
    const expected = models.map(({ model, node }) => model.root(node));
    const outcomes = models.flatMap(({ model }) => Array.from(model.outcomes));
    assert.deepEqual(run.outcomes, new Map(outcomes));
    const rows = (await committed(pool)).slice(before);
    const found = models.map(({ id }) => rows.filter((name) => rootOf(name) === id));
    assert.deepEqual(found, expected);
    assert.equal(rows.length, expected.flat().length);
    return before + rows.length;
  }

  test('whatever trees of transactions run side by side, each keeps or loses exactly its own rows', async (t) => {
    let committedBefore = 0;
    const pool = await open(t, { max: 3 });
    const faults = (['dirty', 'error', 'discard'] as const).map((name) => watch(pool, name));
    await fc.assert(
      fc.asyncProperty(roots, async (plans) => {
        committedBefore = await compare(pool, plans, committedBefore);
        await until(() => pool.stats().leased === 0);
        pool.assertIdle();
        assert.deepEqual(faults, [[], [], []]);
      }),
      { numRuns: runs, includeErrorInReport: true },
    );
    t.true(committedBefore > runs / 2, `${committedBefore} rows were committed`);
    t.is(pool.stats().counters.acquired, pool.stats().counters.released);
  });
}

function rootOf(name: string): string {
  return name.split(/[. ]/, 1)[0] ?? '';
}
