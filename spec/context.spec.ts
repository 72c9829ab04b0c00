import test from 'ava';
import { type ContextLevel, type Frame, frames, levelOf, scopeIn, withLevel, withScopeOf } from '../lib/context.ts';
import type { LeaseControl } from '../lib/driver.ts';
import { ScopeRef } from '../lib/holder.ts';
import { gate, settled } from './support/gate.ts';

class FakeLevel implements ContextLevel {
  readonly owner = {};
  readonly around: ContextLevel | undefined;
  ended = false;
  readonly #state = { ended: false };
  readonly lease = this.#state as LeaseControl;

  constructor(around?: ContextLevel) {
    this.around = around;
  }

  endLease(): void {
    this.#state.ended = true;
  }
}

/** A frame in which a scope of this name is the innermost of `pool`. */
const scoped = (around: Frame | undefined, pool: object, name: string) =>
  withScopeOf(around, pool, name, new ScopeRef(1, name));

test('a frame knows the innermost scope of each pool', (t) => {
  const [a, b, c] = [{}, {}, {}];
  const outer = scoped(undefined, a, 'a1');
  const middle = scoped(outer, b, 'b1');
  const inner = scoped(middle, a, 'a2');
  t.is(scopeIn(outer, a), 'a1');
  t.is(scopeIn(outer, b), undefined);
  t.is(scopeIn(middle, a), 'a1');
  t.is(scopeIn(inner, a), 'a2');
  t.is(scopeIn(inner, b), 'b1');
  t.is(scopeIn(inner, c), undefined);
  t.is(scopeIn(undefined, a), undefined);
  // What was there before is as it was.
  t.is(scopeIn(middle, a), 'a1');
  t.is(scopeIn(outer, a), 'a1');
});

test('a pool is in a frame at most once, however deep its scopes nest', (t) => {
  const pools = [{}, {}, {}];
  let frame: Frame | undefined;
  for (let depth = 0; depth < 30; depth++) frame = scoped(frame, pools[depth % 3] as object, `${depth}`);
  const found: unknown[] = [];
  for (let next = frame; next !== undefined; next = next.next) found.push(next.scope);
  t.deepEqual(found, ['29', '28', '27']);
  t.deepEqual(
    pools.map((pool) => scopeIn(frame, pool)),
    ['27', '28', '29'],
  );
});

test('a transaction leaves the scopes around it, and a scope the transaction', (t) => {
  const [a, b] = [{}, {}];
  const first = new FakeLevel();
  const second = new FakeLevel(first);
  const inScope = withLevel(scoped(undefined, a, 'a1'), first);
  t.is(inScope.level, first);
  t.is(scopeIn(inScope, a), 'a1');
  const deeper = scoped(inScope, b, 'b1');
  t.is(deeper.level, first);
  t.is(scopeIn(deeper, a), 'a1');
  const deepest = scoped(withLevel(deeper, second), a, 'a2');
  t.is(deepest.level, second);
  t.is(scopeIn(deepest, a), 'a2');
  t.is(scopeIn(deepest, b), 'b1');
  t.is(inScope.level, first);
});

test('a transaction without a scope is in a frame of no pool', (t) => {
  const a = {};
  const only = new FakeLevel();
  const frame = withLevel(undefined, only);
  t.is(frame.pool, undefined);
  t.is(scopeIn(frame, a), undefined);
  const inner = scoped(frame, a, 'a1');
  t.is(inner.level, only);
  t.is(scopeIn(inner, a), 'a1');
});

test('a transaction whose lease has ended is left out of the frames to come, one that has only ended itself is not', (t) => {
  const outermost = new FakeLevel();
  const middle = new FakeLevel(outermost);
  const innermost = new FakeLevel(middle);
  const frame = withLevel(undefined, innermost);
  innermost.ended = true;
  t.is(levelOf(frame), innermost);
  t.is(scoped(frame, {}, 'a1').level, innermost);
  innermost.endLease();
  middle.endLease();
  t.is(levelOf(frame), outermost);
  t.is(scoped(frame, {}, 'a1').level, outermost);
  outermost.endLease();
  t.is(levelOf(frame), undefined);
  t.is(levelOf(undefined), undefined);
  t.is(frame.level, innermost);
});

test('a frame set after an await changes the context of the rest of that call, and of what it calls', async (t) => {
  const mine = scoped(undefined, {}, 'mine');
  const other = scoped(undefined, {}, 'other');
  const seen: (Frame | undefined)[] = [];
  const done = gate();
  const enter = async () => {
    await Promise.resolve();
    frames.enterWith(mine);
    const called = (async () => {
      await settled();
      seen.push(frames.getStore());
    })();
    await done.passed;
    seen.push(frames.getStore());
    return called;
  };
  const entering = enter();
  t.is(frames.getStore(), undefined);
  await settled();
  t.is(frames.getStore(), undefined);
  await frames.run(other, async () => {
    done.open();
    await entering;
    t.is(frames.getStore(), other);
  });
  t.is(frames.getStore(), undefined);
  t.deepEqual(seen, [mine, mine]);
});
