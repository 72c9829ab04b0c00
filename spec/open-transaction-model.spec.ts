import assert from 'node:assert/strict';
import test from 'ava';
import * as fc from 'fast-check';
import type { LeasedDatabase, OpenScope, OpenTransaction, SqlitePool } from '../lib/index.ts';
import { settled } from './support/gate.ts';
import { namesIn } from './support/items.ts';
import { temporaryPool } from './support/sqlite.ts';

/** What is done next; numbers choose among what there is then. */
type Step =
  | { readonly do: 'open scope'; readonly binds: boolean }
  | { readonly do: 'open'; readonly scope: number }
  | { readonly do: 'nest' | 'write' | 'commit' | 'rollback' | 'abort' | 'end scope'; readonly which: number };

interface ModelScope {
  readonly scope: OpenScope<LeasedDatabase>;
  readonly isBound: boolean;
  isOver: boolean;
}

/** One transaction, and what must be true of it. */
class Node {
  readonly tx: OpenTransaction<LeasedDatabase>;
  readonly controller: AbortController;
  readonly parent: Node | undefined;
  readonly scope: ModelScope | undefined;
  state: 'queued' | 'open' | 'committed' | 'undone' = 'queued';
  /** Whether it commits as soon as it begins. */
  isCommitting = false;
  /** Parts in the order of their opening; the first that is not over has its turn. */
  readonly parts: Node[] = [];
  rows: string[] = [];
  /** What its commits have come to. */
  readonly commits: Promise<'committed' | 'undone'>[] = [];

  constructor(
    tx: OpenTransaction<LeasedDatabase>,
    controller: AbortController,
    parent: Node | undefined,
    scope: ModelScope | undefined,
  ) {
    this.tx = tx;
    this.controller = controller;
    this.parent = parent;
    this.scope = scope;
    parent?.parts.push(this);
  }

  get isOver(): boolean {
    return this.state === 'committed' || this.state === 'undone';
  }

  get openPart(): Node | undefined {
    return this.parts.find(({ state }) => state === 'open');
  }
}

/** What is in a database with one write lane, and who is in the lane, told from the steps alone. */
class Model {
  committed: string[] = [];
  /** Transactions that are part of no other, those that are over included until their turn has come. */
  readonly lane: Node[] = [];

  begin(node: Node): void {
    if (node.parent === undefined) this.lane.push(node);
    this.advance();
  }

  commit(node: Node): void {
    if (node.state === 'queued') node.isCommitting = true;
    if (node.state !== 'open') return;
    if (node.openPart === undefined) this.#keep(node);
    else this.#drop(node);
    this.advance();
  }

  /** All at once, so that none begins because another has ended. */
  undo(...nodes: readonly Node[]): void {
    for (const node of nodes) if (!node.isOver) this.#drop(node);
    this.advance();
  }

  /** Lets in whoever has his turn. */
  advance(): void {
    for (let first = this.lane[0]; first !== undefined; first = this.lane[0]) {
      if (first.isOver) this.lane.shift();
      else {
        this.#start(first);
        if (!first.isOver) return;
      }
    }
  }

  #start(node: Node): void {
    if (node.state === 'queued') node.state = 'open';
    if (node.isCommitting) {
      this.#keep(node);
      return;
    }
    for (const part of node.parts) {
      if (part.isOver) continue;
      this.#start(part);
      if (!part.isOver) return;
    }
  }

  #keep(node: Node): void {
    node.state = 'committed';
    if (node.parent === undefined) this.committed.push(...node.rows);
    else node.parent.rows.push(...node.rows);
  }

  #drop(node: Node): void {
    node.state = 'undone';
    for (const part of node.parts) if (!part.isOver || part.state === 'queued') this.#drop(part);
  }
}

/** Does the steps one after the other, and compares after each. */
class Run {
  readonly #pool: SqlitePool;
  readonly #model = new Model();
  readonly #nodes: Node[] = [];
  readonly #scopes: ModelScope[] = [];
  #rows = 0;

  constructor(pool: SqlitePool) {
    this.#pool = pool;
  }

  async do(step: Step): Promise<void> {
    await this.#do(step);
    await settled();
    await settled();
    await this.#compare();
  }

  async finish(): Promise<void> {
    // One after the other: whose turn comes by one of them needs a few steps to begin.
    for (const scope of this.#scopes) {
      await this.#end(scope);
      await settled();
    }
    for (const node of this.#nodes) {
      await this.#act('rollback', node);
      await settled();
    }
    for (const { tx } of this.#nodes) await tx.rollback();
    await settled();
    const { leased, waiting, laneHeld, laneWaiting } = this.#pool.stats();
    assert.deepEqual(
      { leased, waiting, laneHeld, laneWaiting },
      { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 },
    );
    for (const node of this.#nodes) {
      assert.ok(node.isOver);
      // What a commit is told is what has become of it.
      for (const outcome of await Promise.all(node.commits)) assert.equal(outcome, node.state);
      await node.tx.begun.catch(() => {});
    }
    assert.deepEqual(await namesIn(this.#pool), this.#model.committed);
    const next = await this.#pool.openTransaction().begun;
    await next.commit();
  }

  async #do(step: Step): Promise<void> {
    if (step.do === 'open scope') {
      const scope = this.#pool.openScope();
      if (step.binds) await scope.run(() => this.#pool.connection());
      this.#scopes.push({ scope, isBound: step.binds, isOver: false });
      return;
    }
    if (step.do === 'open') {
      this.#open(this.#scopes[step.scope % (this.#scopes.length + 1)]);
      return;
    }
    if (step.do === 'end scope') {
      const scope = this.#scopes[step.which % Math.max(this.#scopes.length, 1)];
      if (scope !== undefined) await this.#end(scope);
      return;
    }
    const node = this.#nodes[step.which % Math.max(this.#nodes.length, 1)];
    if (node !== undefined) await this.#act(step.do, node);
  }

  #open(scope: ModelScope | undefined): void {
    const isBusy = this.#model.lane.some((node) => node.scope === scope);
    // On one connection they would take turns before they queue for the lane; another spec is about that.
    if (scope?.isOver === true || (scope?.isBound === true && isBusy)) return;
    const controller = new AbortController();
    const open = () => this.#pool.openTransaction({ signal: controller.signal });
    const node = new Node(scope === undefined ? open() : scope.scope.run(open), controller, undefined, scope);
    this.#nodes.push(node);
    this.#model.begin(node);
  }

  async #end(scope: ModelScope): Promise<void> {
    scope.isOver = true;
    this.#model.undo(...this.#nodes.filter((node) => node.scope === scope && node.parent === undefined));
    // Those that wait leave the queue by it.
    this.#leave((node) => node.scope === scope);
    await scope.scope.end();
  }

  #leave(leaves: (node: Node) => boolean): void {
    const { lane } = this.#model;
    for (const node of lane.filter((each, index) => index > 0 && leaves(each))) lane.splice(lane.indexOf(node), 1);
  }

  async #act(what: 'nest' | 'write' | 'commit' | 'rollback' | 'abort', node: Node): Promise<void> {
    if (what === 'nest') {
      if (node.state !== 'open') return;
      const controller = new AbortController();
      const tx = node.tx.run(() => this.#pool.openTransaction({ signal: controller.signal }));
      const part = new Node(tx, controller, node, undefined);
      this.#nodes.push(part);
      this.#model.begin(part);
    } else if (what === 'write') await this.#write(node);
    else if (what === 'commit') {
      this.#model.commit(node);
      node.commits.push(
        node.tx.commit().then(
          () => 'committed' as const,
          () => 'undone' as const,
        ),
      );
    } else if (what === 'rollback') {
      // What was asked first counts.
      if (!node.isCommitting) this.#model.undo(node);
      void node.tx.rollback();
    } else {
      node.controller.abort();
      this.#model.undo(node);
      this.#leave((each) => each === node);
    }
  }

  async #write(node: Node): Promise<void> {
    const name = `row ${++this.#rows}`;
    const write = async () => node.tx.run(() => this.#pool.run('INSERT INTO item VALUES (?)', [name]));
    const mayWrite = node.state === 'open' && node.openPart === undefined;
    const outcome = await write().then(
      () => true,
      () => false,
    );
    assert.equal(outcome, mayWrite, `${name} of one that is ${node.state}`);
    if (mayWrite) node.rows.push(name);
  }

  async #compare(): Promise<void> {
    const { leased, laneHeld, laneWaiting } = this.#pool.stats();
    const bound = this.#scopes.filter(({ isBound, isOver }) => isBound && !isOver).length;
    const writers = this.#model.lane.filter(({ state }) => state === 'open');
    const unbound = writers.filter(({ scope }) => scope?.isBound !== true).length;
    const expected = {
      leased: bound + unbound,
      laneHeld: writers.length,
      laneWaiting: this.#model.lane.length - writers.length,
    };
    assert.deepEqual({ leased, laneHeld, laneWaiting }, expected);
    assert.deepEqual(await namesIn(this.#pool), this.#model.committed);
  }
}

const which = fc.nat(20);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('open scope' as const), binds: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('open' as const), scope: which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('nest' as const), which }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('write' as const), which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('commit' as const), which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('rollback' as const, 'abort' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('end scope' as const), which }) },
);

test('whatever is opened, nested, written, committed, rolled back, aborted and ended, what is kept is what a model keeps', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }), async (steps) => {
      const pool = temporaryPool(t, { max: 20, pragmas: { synchronous: 'OFF' } });
      await pool.run('CREATE TABLE item (name TEXT)');
      const run = new Run(pool);
      for (const each of steps) await run.do(each);
      await run.finish();
      await pool.close();
    }),
    { numRuns: 150, includeErrorInReport: true },
  );
  t.pass();
});
