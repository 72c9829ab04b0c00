import test from 'ava';
import { ReleasedError, ScopeEndedError } from '../lib/errors.ts';
import { ScopeRef } from '../lib/holder.ts';
import { captureSite, Lease } from '../lib/lease.ts';
import { FakeClock } from './support/clock.ts';

function make(capturesStacks = false, returning?: Promise<void>) {
  const retired: string[] = [];
  const taken: boolean[] = [];
  let twice = 0;
  const slot = { id: 1, lease: undefined, retire: (reason: string) => void retired.push(reason) };
  const owner = {
    name: 'app',
    id: 1,
    clock: new FakeClock(),
    capturesStacks,
    observed: { observer: undefined },
    takeBack: (returned: Lease<typeof slot, object>) => {
      taken.push(returned.ended);
      return returning;
    },
    releasedTwice: () => {
      twice++;
    },
    describe: () => {
      throw new Error('Nobody asks');
    },
    report: () => {},
  };
  const lease = new Lease<typeof slot, object>(owner, 7, slot, 1000);
  return { lease, slot, retired, taken, twice: () => twice };
}

test('a new lease is live, and was last used when it was made', (t) => {
  const { lease, slot } = make();
  t.like(lease, { id: 7, startedAt: 1000, lastUsedAt: 1000, ended: false, overdue: false });
  t.is(lease.slot, slot);
});

test('release ends the lease before the connection is taken back', (t) => {
  const { lease, taken } = make();
  t.is(lease.release(), undefined);
  t.true(lease.ended);
  t.deepEqual(taken, [true]);
});

test('release passes on the promise of an asynchronous return', async (t) => {
  const returning = Promise.resolve();
  const { lease } = make(false, returning);
  t.is(lease.release(), returning);
  await returning;
});

test('a second release takes nothing back and is counted', (t) => {
  const { lease, taken, twice } = make();
  void lease.release();
  t.is(lease.release(), undefined);
  void lease.release('overdue');
  t.is(taken.length, 1);
  t.is(twice(), 2);
  t.is((lease.endedError() as ReleasedError).end, 'released', 'and does not change why the lease ended');
});

test('discard retires the connection while the lease lasts, and not after', (t) => {
  const { lease, retired } = make();
  lease.discard('wanted');
  void lease.release();
  lease.discard('late: the connection may serve somebody else by now');
  t.deepEqual(retired, ['wanted']);
});

for (const [end, words] of [
  ['released', 'was released'],
  ['closed', 'was taken away when the pool closed,'],
  ['overdue', 'was taken away by closeOverdue()'],
  ['dropped', 'was recovered, its handle having been dropped,'],
] as const) {
  test(`a use after the end says that the lease ${words}`, (t) => {
    const { lease } = make();
    lease.label = 'GET /report';
    void lease.release(end);
    const error = lease.endedError();
    t.true(error instanceof ReleasedError);
    t.like(error, { code: 'ERR_LEASEHOLD_RELEASED', pool: 'app', lease: 7, label: 'GET /report', end });
    t.is((error as ReleasedError).releaseStack, undefined);
    t.true(error.message.startsWith(`Lease #7 "GET /report" of "app" ${words} `), error.message);
  });
}

test('a use after the end of the scope names the scope', (t) => {
  const { lease } = make();
  lease.scope = new ScopeRef(3, 'job');
  void lease.release('scope');
  const error = lease.endedError();
  t.true(error instanceof ScopeEndedError);
  t.like(error, { code: 'ERR_LEASEHOLD_SCOPE_ENDED', pool: 'app', scope: 3, label: 'job' });
});

test('a lease that ended with a scope it was not bound to counts as released', (t) => {
  const { lease } = make();
  void lease.release('scope');
  t.like(lease.endedError(), { code: 'ERR_LEASEHOLD_RELEASED', end: 'released' });
});

test('while stacks are captured, the error of a use carries the stack of the release of a lease held too long', (t) => {
  const { lease } = make(true);
  lease.overdue = true;
  function whoReleased() {
    void lease.release();
  }
  function whoUses() {
    return lease.endedError() as ReleasedError;
  }
  whoReleased();
  const error = whoUses();
  t.regex(error.releaseStack ?? '', /^Error\n\s+at whoReleased /, 'beginning at the caller of release');
  t.regex(
    error.message,
    /\n {2}It was ended at whoReleased \(spec\/lease\.spec\.[tj]s:\d+:\d+\) from spec\/lease\.spec\.[tj]s:\d+:\d+\.$/,
  );
  t.regex(error.stack ?? '', /at whoUses /);
});

for (const [end, captured] of [
  ['released', false],
  ['scope', false],
  ['transaction', false],
  ['closed', true],
  ['overdue', true],
  ['dropped', true],
] as const) {
  test(`of a lease not held too long the stack of its end is ${captured ? '' : 'not '}captured: ${end}`, (t) => {
    for (const capturesStacks of [false, true]) {
      const { lease } = make(capturesStacks);
      void lease.release(end);
      const { releaseStack } = lease.endedError() as Partial<ReleasedError>;
      t.is(releaseStack !== undefined, captured && capturesStacks);
    }
  });
}

test('a captured site begins at the caller of the public function', (t) => {
  function entry() {
    return inner();
  }
  function inner() {
    return captureSite(entry);
  }
  function caller() {
    return entry();
  }
  t.regex(caller().stack ?? '', /^Error\n\s+at caller /);
});
