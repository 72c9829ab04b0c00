/** One thing that could go wrong in a file of the library. */
export interface Edit {
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** A fault that the specs must notice. */
export interface Mutation {
  /** What of the library is broken, in a few words. */
  readonly name: string;
  /** One edit, unless a second guard would hide the fault. */
  readonly edits: readonly Edit[];
  /** What users would see of it. */
  readonly harm: string;
  /** Where it should be caught. */
  readonly specs: readonly string[];
}

/** By what is broken: the pool, a lease, those who wait, scopes, transactions, the write lane, the return of a connection. */
export const mutations: readonly Mutation[] = [
  {
    name: 'pool: the slot of a failed open',
    edits: [
      {
        file: 'lib/pool/inventory.ts',
        find: '      this.#opening--;\n      this.#context.counters.openErrors++;',
        replace: '      this.#context.counters.openErrors++;',
      },
    ],
    harm: 'Each open that fails costs a slot for good; after `max` of them nobody ever gets a connection.',
    specs: ['spec/pool/opening-failure.spec.ts'],
  },
  {
    name: 'pool: a connection that comes back to a closed pool',
    edits: [{ file: 'lib/pool/inventory.ts', find: "    if (this.#disposed) return 'closed';\n", replace: '' }],
    harm: '`close()` in the middle of a request never resolves, and the connection of that request stays open.',
    specs: ['spec/pool/close.spec.ts'],
  },
  {
    name: 'pool: a retired connection',
    edits: [
      {
        file: 'lib/pool/inventory.ts',
        find: 'if (slot.retired !== undefined) return slot.retired;',
        replace: '',
      },
    ],
    harm: 'What was to be discarded is pooled: the next request gets the settings, or the broken transaction, of the last.',
    specs: ['spec/pool/return.spec.ts'],
  },
  {
    name: 'lease: a second release',
    edits: [
      {
        file: 'lib/lease.ts',
        find: '      this.#owner.releasedTwice();\n      return;',
        replace: '      this.#owner.releasedTwice();',
      },
      {
        file: 'lib/pool/lender.ts',
        find: 'if (slot.lease !== lease) return;',
        replace: 'if (slot.lease === undefined) return;',
      },
    ],
    harm: 'A stale second release takes the connection from whoever has it by then, and gives it to a third.',
    specs: ['spec/lease.spec.ts', 'spec/pool/return.spec.ts'],
  },
  {
    name: 'lease: a use after its end',
    edits: [
      {
        file: 'lib/sqlite/session.ts',
        find: '    if (lease.ended) throw lease.endedError();\n    if (lease.signal?.aborted)',
        replace: '    if (lease.signal?.aborted)',
      },
    ],
    harm: 'What is left over of a request runs its statements on a connection, and in a transaction, of somebody else.',
    specs: ['spec/sqlite/handle.spec.ts', 'spec/sqlite/session.spec.ts'],
  },
  {
    name: 'waiters: the deadline at hand-off',
    edits: [
      {
        file: 'lib/waiters.ts',
        find: 'else if (waiter.deadline > now) return waiter;\n      else this.#expire(waiter, 1);',
        replace: 'else return waiter;',
      },
    ],
    harm: 'After a blocked event loop callers get a connection seconds after the time they had said they would wait.',
    specs: ['spec/waiters.spec.ts', 'spec/pool/timeouts.spec.ts'],
  },
  {
    name: 'waiters: first come, first served',
    edits: [
      {
        file: 'lib/waiters.ts',
        find: 'enqueue(this.#byTurn, waiter, request.priority);',
        replace: 'enqueue(this.#byTurn, waiter, request.priority + waiter.order);',
      },
    ],
    harm: 'Newcomers overtake. Under load those who came first wait until they time out.',
    specs: ['spec/waiters.spec.ts', 'spec/pool/hand-off.spec.ts'],
  },
  {
    name: 'waiters: an abort in the step of the hand-off',
    edits: [
      {
        file: 'lib/waiters.ts',
        find: 'if (waiter.request.signal?.aborted) this.#aborted(waiter);\n      else if',
        replace: 'if',
      },
    ],
    harm: 'A request that was aborted is given a connection, which others wait for.',
    specs: ['spec/waiters-refusal.spec.ts', 'spec/pool/cancellation.spec.ts'],
  },
  {
    name: 'scope: a connection that arrives after its end',
    edits: [
      {
        file: 'lib/scoped-pool.ts',
        find: 'if (!scope.ended) return scope.bind(lease);',
        replace: 'if (!scope.ended || scope.ref.ended) return scope.bind(lease);',
      },
    ],
    harm: 'A connection is bound to a scope that nobody will end any more: it never comes back.',
    specs: ['spec/scoped-pool-signals.spec.ts', 'spec/open-scope-ends.spec.ts'],
  },
  {
    name: 'scope: the end with a transaction open',
    edits: [
      {
        file: 'lib/sqlite/session.ts',
        find: 'if (this.isManaged) this.noteTransaction();',
        replace: '',
      },
    ],
    harm: 'The next request finds itself in the transaction of the last, and commits it or loses its own work with it.',
    specs: ['spec/sqlite/dangling.spec.ts', 'spec/sqlite/transaction-lost.spec.ts'],
  },
  {
    name: 'transaction: siblings take turns',
    edits: [
      {
        file: 'lib/transaction.ts',
        find: 'outer === undefined ? this.#turn : outer.turn(this.#clock);',
        replace: 'outer === undefined ? this.#turn : new Turnstile<Level<Request>>(this.#clock);',
      },
    ],
    harm: "Of two nested transactions side by side, the ROLLBACK TO of one deletes the other's rows.",
    specs: ['spec/sqlite/transaction-siblings.spec.ts'],
  },
  {
    name: 'transaction: a statement of another branch',
    edits: [
      {
        file: 'lib/transaction.ts',
        find: 'if (level !== current) throw',
        replace: 'if (level === null) throw',
      },
    ],
    harm: "Statements slip into somebody else's savepoint, and are undone with it.",
    specs: ['spec/sqlite/transaction-branches.spec.ts'],
  },
  {
    name: 'transaction: a COMMIT that fails',
    edits: [
      {
        file: 'lib/transaction.ts',
        find: '      return this.#rollBackAndThrow(level, this.#commitError(level, error));\n    }\n    this.#close(level);',
        replace:
          '      this.#close(level);\n      throw this.#commitError(level, error);\n    }\n    this.#close(level);',
      },
    ],
    harm: 'A COMMIT that fails, as for a deferred foreign key, leaves the transaction open with its lock on the file.',
    specs: ['spec/sqlite/transaction-aborted.spec.ts', 'spec/sqlite/lane-return.spec.ts'],
  },
  {
    name: 'transaction: no write in read()',
    edits: [
      {
        file: 'lib/sqlite/session.ts',
        find: "if (level.readOnly) throw new ReadOnlyError(this.lease.pool, level.request.label ?? this.lease.label, 'read');",
        replace: '',
      },
    ],
    harm: 'A write in `read()` goes past the write lane, and blocks the event loop where somebody else holds the lock.',
    specs: ['spec/sqlite/transaction-read.spec.ts'],
  },
  {
    name: 'lane: an abort while BEGIN waits for another process',
    edits: [
      {
        file: 'lib/sqlite/verbs.ts',
        find: '    this.#session.impatient = false;\n    this.#dropClaim();\n    throw error instanceof LeftOpen',
        replace: '    this.#session.impatient = false;\n    throw error instanceof LeftOpen',
      },
    ],
    harm: 'The aborted request keeps the write lane until it ends: nobody in the process can write meanwhile.',
    specs: ['spec/sqlite/lane-return.spec.ts', 'spec/sqlite/processes-interrupts.spec.ts'],
  },
  {
    name: 'lane: its connection can not be opened',
    edits: [
      {
        file: 'lib/sqlite/writing-pool.ts',
        find: '        } catch (error) {\n          permit.leave();\n          throw error;\n        }',
        replace: '        } catch (error) {\n          throw error;\n        }',
      },
    ],
    harm: 'After one failure the write lane of the file is held by nobody, for ever.',
    specs: ['spec/sqlite/lane-return.spec.ts', 'spec/sqlite/lane-race.spec.ts'],
  },
  {
    name: 'lane: WITH may begin a write',
    edits: [
      {
        file: 'lib/sqlite/sql.ts',
        find: 'Object.freeze({ ...nothing, writes: undefined })',
        replace: 'Object.freeze({ ...nothing, writes: false })',
      },
    ],
    harm: '`WITH … INSERT` is taken for a query, and blocks the event loop while another request holds the lock.',
    specs: ['spec/sqlite/sql.spec.ts', 'spec/sqlite/with-statement.spec.ts'],
  },
  {
    name: 'lane: a synchronous write while another holds it',
    edits: [
      {
        file: 'lib/sqlite/session.ts',
        find: "if (holder !== undefined) throw new WriteLockedError(settings.pool, holder.describe(), 'held');",
        replace: '',
      },
    ],
    harm: 'The write waits inside SQLite for a lock of its own process: the event loop stands still, and the holder with it.',
    specs: ['spec/sqlite/lane-reports.spec.ts'],
  },
  {
    name: 'return: settings that were changed',
    edits: [
      {
        file: 'lib/sqlite/connection.ts',
        find: '      traces.push(...notes.settings);\n      reusable = false;',
        replace: '      traces.push(...notes.settings);',
      },
    ],
    harm: "The next request works with the last one's pragmas and functions: `foreign_keys = OFF`, say.",
    specs: ['spec/sqlite/connection.spec.ts', 'spec/sqlite/pool.spec.ts'],
  },
  {
    name: 'return: a statement that is being iterated',
    edits: [
      {
        file: 'lib/sqlite/statement-cache.ts',
        find: '  detach(): void {\n    this.#statement = undefined;\n  }',
        replace: '  detach(): void {}',
      },
    ],
    harm: 'Two loops over the same SQL share one statement: the inner one fails as busy, or takes rows from the outer.',
    specs: ['spec/sqlite/statement-sharing.spec.ts'],
  },
];
