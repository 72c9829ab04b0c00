import test from 'ava';
import { Cancellations } from '../lib/cancellations.ts';

test('a cancellation breaks off every wait that is enlisted, each with an error of its own', (t) => {
  const ends = new Cancellations();
  const errors: Error[] = [];
  for (let wait = 0; wait < 3; wait++) ends.enlist((makeError) => void errors.push(makeError()));
  let made = 0;
  ends.cancel(() => new Error(`${++made}`));
  t.deepEqual(
    errors.map(({ message }) => message),
    ['1', '2', '3'],
  );
});

test('a wait that was taken out is left alone, and to take it out again does nothing', (t) => {
  const ends = new Cancellations();
  const reached: string[] = [];
  const withdraw = ends.enlist(() => void reached.push('withdrawn'));
  ends.enlist(() => void reached.push('enlisted'));
  withdraw();
  withdraw();
  ends.cancel(() => new Error('over'));
  t.deepEqual(reached, ['enlisted']);
});

test('a wait that is taken out while others are broken off is left alone', (t) => {
  const ends = new Cancellations();
  const reached: string[] = [];
  const withdrawals: (() => void)[] = [];
  ends.enlist(() => {
    reached.push('first');
    for (const withdraw of withdrawals) withdraw();
  });
  withdrawals.push(ends.enlist(() => void reached.push('second')));
  ends.cancel(() => new Error('over'));
  t.deepEqual(reached, ['first']);
});

test('a cancellation of nobody makes no error', (t) => {
  const ends = new Cancellations();
  ends.enlist(() => t.fail())();
  ends.cancel(() => {
    t.fail();
    return new Error('over');
  });
  t.pass();
});

test('a wait that begins after a cancellation, or during it, is not broken off by it', (t) => {
  const ends = new Cancellations();
  const reached: string[] = [];
  ends.enlist(() => {
    reached.push('before');
    ends.enlist(() => void reached.push('during'));
  });
  ends.cancel(() => new Error('over'));
  ends.enlist(() => void reached.push('after'));
  t.deepEqual(reached, ['before']);
});
