import test from 'ava';
import {
  AcquireTimeoutError,
  type Congestion,
  DeadlockError,
  NotIdleError,
  QueueFullError,
} from '../lib/congestion-errors.ts';
import {
  AbortError,
  ClosedError,
  LeaseholdError,
  NoConnectionError,
  NoScopeError,
  OpenError,
  OptionsError,
  ReleasedError,
  RuntimeError,
  ScopeEndedError,
} from '../lib/errors.ts';
import type { HolderInfo } from '../lib/holder.ts';
import { TransactionAbortedError } from '../lib/transaction-errors.ts';

const holders: HolderInfo[] = [
  {
    id: 1,
    connection: 1,
    label: 'GET /report',
    age: 4200,
    idleFor: 4100,
    inTransaction: true,
    mode: 'connection',
    scope: 4,
    stack: 'Error\n    at report (server.ts:41:9)\n    at main (server.ts:50:1)',
  },
  {
    id: 7,
    connection: 2,
    label: undefined,
    age: 30,
    idleFor: 2,
    inTransaction: false,
    mode: 'connection',
    scope: undefined,
  },
];
const congestion: Congestion = { pool: 'app', max: 2, leased: 2, waiting: 12, holders };
const lines =
  '\n  #1  GET /report       4.2 s   transaction open, last used 4.1 s ago   at report (server.ts:41:9) from main (server.ts:50:1)' +
  '\n  #7  no label          30 ms   last used 2 ms ago';

const waiter = { timeout: 5000, label: undefined, position: 3, lateBy: 2 };
const plain = { suspectedDeadlock: false, isReserve: false };
const ended = {
  lease: 7,
  label: undefined,
  end: 'released',
  held: 340,
  endedFor: 1200,
  acquireStack: undefined,
  releaseStack: undefined,
} as const;

const every: readonly [LeaseholdError, string][] = [
  [new OptionsError('max', 0, 'x'), 'OPTIONS'],
  [new OpenError('app', '/data', new Error('x')), 'OPEN'],
  [new AcquireTimeoutError(waiter, congestion, plain), 'ACQUIRE_TIMEOUT'],
  [new QueueFullError(congestion), 'QUEUE_FULL'],
  [new DeadlockError(congestion), 'DEADLOCK'],
  [new NotIdleError(congestion), 'NOT_IDLE'],
  [new ClosedError('app'), 'CLOSED'],
  [new ReleasedError('app', ended), 'RELEASED'],
  [new ScopeEndedError('app', 1, undefined, 0, undefined), 'SCOPE_ENDED'],
  [new NoConnectionError('app', true), 'NO_CONNECTION'],
  [new NoScopeError('app'), 'NO_SCOPE'],
  [new RuntimeError('v20.0.0', '22'), 'RUNTIME'],
];

for (const [error, code] of every) {
  test(`ERR_LEASEHOLD_${code} is an error of one base, with a name and a code of its own`, (t) => {
    t.true(error instanceof LeaseholdError);
    t.true(error instanceof Error);
    t.is(error.code, `ERR_LEASEHOLD_${code}`);
    t.is(error.name, error.constructor.name);
    t.true(error.stack?.startsWith(`${error.name}: ${error.message}`));
    t.is(every.filter(([other]) => other.code === error.code).length, 1);
  });
}

function message(value: unknown): string {
  return new OptionsError('max', value, 'an integer').message;
}

test('an option error shows the value where it is short, and its kind where it is not', (t) => {
  t.is(message(0), 'Option "max" is 0: expected an integer.');
  t.is(message(-0.5), 'Option "max" is -0.5: expected an integer.');
  t.is(message('5'), 'Option "max" is "5": expected an integer.');
  t.is(message('a\nb'), 'Option "max" is "a\\nb": expected an integer.');
  t.is(message('x'.repeat(61)), 'Option "max" is a string of 61 characters: expected an integer.');
  t.is(message('x'.repeat(60)), `Option "max" is "${'x'.repeat(60)}": expected an integer.`);
  t.is(message(5n), 'Option "max" is 5n: expected an integer.');
  t.is(
    message(() => {}),
    'Option "max" is a function: expected an integer.',
  );
  t.is(message(Symbol('secret')), 'Option "max" is a symbol: expected an integer.');
  t.is(message([1]), 'Option "max" is an array: expected an integer.');
  t.is(message({ password: 'secret' }), 'Option "max" is an object: expected an integer.');
  t.is(message(null), 'Option "max" is null: expected an integer.');
  t.is(message(undefined), 'Option "max" is undefined: expected an integer.');
  t.is(message(true), 'Option "max" is true: expected an integer.');
  t.is(
    new OptionsError('a\u001bb', 0, 'x', 'Try y.').message,
    'Option "a\\u001bb" is 0: expected x. Try y.',
    'and the hint at the end',
  );
});

test('no text of an option value can break out of its line', (t) => {
  t.notRegex(message('x\u2028y\u202ez\u009b'), /[\u2028\u202e\u009b]/u);
});

test('an open error tells what could not be opened and why', (t) => {
  const cause = Object.assign(new Error('unable to open\nfile'), { code: 'SQLITE_CANTOPEN' });
  const error = new OpenError('app', '/data/app.db', cause);
  t.is(error.message, 'Pool "app" cannot open "/data/app.db": unable to open\\u000afile (SQLITE_CANTOPEN)');
  t.is(error.cause, cause);
  t.like(error, { pool: 'app', target: '/data/app.db' });
  t.is(new OpenError('app', '/x', new Error('why')).message, 'Pool "app" cannot open "/x": why');
  t.is(new OpenError('app', '/x', Object.assign(new Error('why'), { code: 5 })).message.endsWith(': why'), true);
  t.is(new OpenError('app', '/x', 'text').message, 'Pool "app" cannot open "/x": "text"');
  t.is(new OpenError('app', '/x', undefined).message, 'Pool "app" cannot open "/x": undefined');
  t.is(new OpenError('a\nb', '/x\ny', 'z').message, 'Pool "a\\u000ab" cannot open "/x\\u000ay": "z"');
});

test('an acquire timeout tells who holds what, and who it was that waited', (t) => {
  const error = new AcquireTimeoutError(waiter, congestion, plain);
  t.is(
    error.message,
    'Timed out after 5000 ms waiting for a connection of "app" (2 of 2 in use, 12 waiting, this one as number 3).' +
      `${lines}\n  What to do: #1 has not used the connection for most of that time: look there for a release that is ` +
      'missing, or for slow work between two statements.',
  );
  t.like(error, { timeout: 5000, label: undefined, position: 3, suspectedDeadlock: false, cause: undefined });
  t.like(error, { pool: 'app', max: 2, leased: 2, waiting: 12 });
  t.is(error.holders, holders);
  t.false('cause' in error);
});

test('an acquire timeout tells for whom, of a suspected deadlock, and of the last failure to open', (t) => {
  const cause = new Error('disk\ngone');
  const none = { ...congestion, pool: 'a\u0000pp', leased: 0, holders: [] };
  const late = { timeout: 99.6, label: 'job\n1', position: undefined, lateBy: 0 };
  const error = new AcquireTimeoutError(late, none, { ...plain, suspectedDeadlock: true }, { cause });
  t.is(
    error.message,
    'Timed out after 100 ms waiting for a connection of "a\\u0000pp" for "job\\u000a1" (0 of 2 in use, 12 waiting).' +
      '\n  Suspected deadlock: every lease is held by a scope that itself waits for a connection of this pool, or for one who does.' +
      '\n  The last attempt to get a connection ready failed: disk\\u000agone' +
      '\n  What to do: use the connection that the scope has already, or take all that it needs before it does anything else.',
  );
  t.like(error, { timeout: 99.6, label: 'job\n1', suspectedDeadlock: true, cause });
});

for (const [title, change, words] of [
  ['one forgets its connection', {}, /What to do: #1 has not used the connection for most/],
  [
    'many forget theirs',
    { max: 5, leased: 5, holders: [1, 2, 3, 4, 5].map((id) => ({ ...(holders[0] as HolderInfo), id })) },
    /What to do: #1, #2, #3 and 2 more have not used the connection/,
  ],
  [
    'all are at work',
    { holders: [holders[1] as HolderInfo], max: 1, leased: 1 },
    /What to do: all holders are at work: .*"max"/,
  ],
  ['connections are missing', { max: 3 }, /What to do: not all connections are in use, .*: the database, or a hook\.$/],
] as const) {
  test(`what to do about a timeout where ${title}`, (t) => {
    t.regex(new AcquireTimeoutError(waiter, { ...congestion, ...change }, plain).message, words);
  });
}

test('where no stack was captured, a timeout says how to have them', (t) => {
  const bare: HolderInfo[] = holders.map((each) => {
    const { stack, ...rest } = each;
    return stack === undefined ? each : rest;
  });
  const hint = /Set "leakThreshold" to see here where each lease was acquired\.$/;
  t.regex(new AcquireTimeoutError(waiter, { ...congestion, holders: bare }, plain).message, hint);
  t.notRegex(new AcquireTimeoutError(waiter, congestion, plain).message, hint);
});

test('a pool that is not idle names every lease', (t) => {
  const many = Array.from({ length: 30 }, (_, index) => ({ ...(holders[0] as HolderInfo), id: index + 1 }));
  const error = new NotIdleError({ ...congestion, holders: many, leased: 30, waiting: 1 });
  t.true(
    error.message.startsWith('Pool "app" is not idle: 30 leases not given back, 1 acquire waiting. Await all work, '),
  );
  t.is(error.message.split('\n').length, 31);
  t.like(error, { pool: 'app', leased: 30, waiting: 1 });
});

test('a full queue says what to do', (t) => {
  const error = new QueueFullError(congestion);
  t.is(
    error.message,
    `The queue of "app" is full: 12 are waiting (2 of 2 in use). Shed load, or raise "maxWaiting".${lines}`,
  );
  t.like(error, { pool: 'app', max: 2, leased: 2, waiting: 12, holders });
});

test('a deadlock says what to do', (t) => {
  const error = new DeadlockError(congestion);
  t.is(
    error.message,
    'Suspected deadlock in "app": every lease is held by a scope that itself waits for a connection of this pool, or for one who does. ' +
      `Use the connection the scope already has, or take both before either is needed.${lines}`,
  );
  t.like(error, { pool: 'app', max: 2, leased: 2, waiting: 12, holders });
});

test('a closed pool is named', (t) => {
  const error = new ClosedError('a\u2028pp');
  t.is(error.message, 'Pool "a\\u2028pp" is closed.');
  t.is(error.pool, 'a\u2028pp', 'the field has the text as it is');
});

test('a use after release says what ended, when and where, and what to do', (t) => {
  const error = new ReleasedError('app', {
    ...ended,
    label: 'job\n1',
    end: 'overdue',
    acquireStack: 'Error\n    at run (jobs.ts:2:1)',
    releaseStack: 'Error\n    at sweep (jobs.ts:9:1)',
  });
  t.is(
    error.message,
    'Lease #7 "job\\u000a1" of "app" was taken away by closeOverdue() 1.2 s ago, after 340 ms; its handle, statements and ' +
      'iterators can not be used any more. Take a new lease, or keep this one until the work is done.' +
      '\n  It was acquired at run (jobs.ts:2:1).\n  It was ended at sweep (jobs.ts:9:1).',
  );
  t.like(error, { pool: 'app', lease: 7, label: 'job\n1', end: 'overdue', held: 340, endedFor: 1200 });
  t.true(
    new ReleasedError('app', ended).message.startsWith('Lease #7 of "app" was released 1.2 s ago, after 340 ms; '),
  );
  t.notRegex(new ReleasedError('app', ended).message, /\n/);
});

test('errors of scopes say what to write instead', (t) => {
  const over = new ScopeEndedError('app', 3, 'job\n1', 1200, 'Error\n    at run (jobs.ts:2:1)');
  t.true(over.message.startsWith('Scope #3 "job\\u000a1" of "app" ended 1.2 s ago, and gave back what it held. '));
  t.true(over.message.endsWith('\n  Its connection was acquired at run (jobs.ts:2:1).'), over.message);
  t.like(over, { pool: 'app', scope: 3, label: 'job\n1', endedFor: 1200 });
  t.true(new ScopeEndedError('app', 3, undefined, 5, undefined).message.startsWith('Scope #3 of "app" ended 5 ms ago'));
  t.regex(new NoConnectionError('app', true).message, /^This scope of "app" .*await pool\.connection\(\)/);
  t.regex(new NoConnectionError('app', false).message, /^No scope of "app" .*pool\.withConnection\(\)/);
  t.is(new NoConnectionError('app', false).pool, 'app');
  t.regex(new NoScopeError('app').message, /^No scope of "app" .*pool\.withScope\(\)/);
  t.is(new NoScopeError('app').pool, 'app');
});

test('an old runtime is told what it is and what is needed', (t) => {
  t.true(new RuntimeError('v20.1.0', '22').message.startsWith('Leasehold needs Node.js 22 or newer; this is v20.1.0.'));
});

test('an abort is shaped as that of Node', (t) => {
  const reason = new Error('client gone');
  const error = new AbortError(AbortSignal.abort(reason));
  t.like(error, { name: 'AbortError', code: 'ABORT_ERR', message: 'The operation was aborted' });
  t.is(error.cause, reason);
  t.false(error instanceof LeaseholdError);
});

test('what is thrown without a name or a message of text is told all the same', (t) => {
  const odd = Object.assign(new Error('x'), { name: 5, message: { reason: 1 }, code: 7 });
  t.true(new OpenError('app', '/app.db', odd).message.endsWith('an error without a message'));
  t.true(new TransactionAbortedError('app', undefined, odd).message.endsWith('an error'));
});
