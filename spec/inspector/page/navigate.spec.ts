import test from 'ava';
import { type Choice, followed, type Move, moved, moveOf } from '../../../lib/inspector/page/navigate.ts';
import { type Picture, pictureOf } from '../../../lib/inspector/page/picture.ts';
import { at, barOf, holderOf, poolOf, tickOf, viewOf } from './reports.ts';

// Two connections, each with its leases:
//   1:  [l1 0..1]      [l2 2..3]       [l3 6..]
//   2:       [l4 1..2]          [l5 4..5]
// and a write of l4 from 1.2 to 1.4.
const bars = [
  barOf({ lease: 1, connection: 1, from: at(0), to: at(1) }),
  barOf({ lease: 2, connection: 1, from: at(2), to: at(3) }),
  barOf({ lease: 4, connection: 2, from: at(1), to: at(2), writes: [[at(1.2), at(1.4)]] }),
  barOf({ lease: 5, connection: 2, from: at(4), to: at(5) }),
];
const pool = poolOf({ holders: [holderOf({ lease: 3, connection: 1, from: at(6) })] });
const picture = pictureOf(viewOf({ ticks: [tickOf(16, { bars })], pools: [pool] }), pool);
const now = at(8);

function chosen(key: string, among: Picture = picture): Choice {
  for (const [lane, items] of among.items.entries()) {
    const item = items.find((each) => each.key === key);
    if (item !== undefined) return { lane, item };
  }
  throw new Error(`There is no ${key}.`);
}

function path(from: string, ...moves: readonly Move[]): (string | undefined)[] {
  let choice: Choice | undefined = chosen(from);
  return moves.map((move) => {
    choice = moved(picture, choice, move, at(-1), now);
    return choice?.item.key;
  });
}

test('the first key chooses what happened last on a connection', (t) => {
  t.is(moved(picture, undefined, 'left', at(-1), now)?.item.key, 'l3');
});

test('left and right go from lease to lease, and no further than the ends', (t) => {
  t.deepEqual(path('l1', 'right', 'right', 'right', 'left', 'left', 'left'), ['l2', 'l3', 'l3', 'l2', 'l1', 'l1']);
});

test('up and down go to what is nearest in time', (t) => {
  t.deepEqual(path('l1', 'down'), ['l4']);
  t.deepEqual(path('l3', 'down', 'up'), ['l5', 'l2']);
});

test('the write lane lies above the connections, and an empty lane is passed over', (t) => {
  t.deepEqual(path('l4', 'up', 'up', 'up', 'down'), ['l1', 'w4:0', 'w4:0', 'l1']);
});

test('the ends of a lane are one key away', (t) => {
  t.deepEqual(path('l2', 'last', 'first'), ['l3', 'l1']);
  t.deepEqual(path('l2', 'page right', 'page left'), ['l3', 'l1']);
});

test('what has left the view at the left cannot be gone to', (t) => {
  t.is(moved(picture, chosen('l2'), 'left', at(1.5), now)?.item.key, 'l2');
  t.is(moved(picture, chosen('l2'), 'first', at(1.5), now)?.item.key, 'l2');
});

test('a choice that has left the view goes on with the first that is there', (t) => {
  t.is(moved(picture, chosen('l1'), 'right', at(1.5), now)?.item.key, 'l2');
});

test('what is not reached yet by the time on the screen cannot be gone to', (t) => {
  t.is(moved(picture, chosen('l2'), 'right', at(-1), at(5))?.item.key, 'l2');
});

test('in an empty picture there is nothing to choose', (t) => {
  const empty = poolOf({ connections: [] });
  t.is(moved(pictureOf(viewOf({ pools: [empty] }), empty), undefined, 'left', at(-1), now), undefined);
});

test('a lease stays chosen when it ends, and when its lane moves', (t) => {
  const ended = poolOf({ connections: [0, 1, 2] });
  const bar = barOf({ lease: 3, connection: 1, from: at(6), to: at(9) });
  const later = pictureOf(viewOf({ ticks: [tickOf(20, { bars: [bar] })], pools: [ended] }), ended);
  const choice = followed(later, chosen('l3'));
  t.deepEqual(choice, chosen('l3', later));
  t.is(choice?.item.to, at(9));
  t.is(choice?.lane, chosen('l3').lane + 1);
});

test('what is gone is not followed', (t) => {
  const empty = poolOf();
  t.is(followed(pictureOf(viewOf({ pools: [empty] }), empty), chosen('l3')), undefined);
  t.is(followed(picture, undefined), undefined);
});

test('only the keys of the picture are taken', (t) => {
  t.is(moveOf('ArrowLeft'), 'left');
  t.is(moveOf('PageDown'), 'page right');
  t.is(moveOf('Tab'), undefined);
  t.is(moveOf('constructor'), undefined);
});
