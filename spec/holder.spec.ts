import test from 'ava';
import { joinSignals } from '../lib/holder.ts';

test('joined signals are aborted when either is, with its reason', (t) => {
  const [own, outer] = [new AbortController(), new AbortController()];
  t.is(joinSignals(undefined, undefined), undefined);
  t.is(joinSignals(own.signal, undefined), own.signal);
  t.is(joinSignals(undefined, outer.signal), outer.signal);
  t.is(joinSignals(own.signal, own.signal), own.signal);
  const joined = joinSignals(own.signal, outer.signal);
  t.false(joined?.aborted);
  outer.abort('outer');
  t.is(joined?.reason, 'outer');
  const other = joinSignals(own.signal, new AbortController().signal);
  own.abort('own');
  t.is(other?.reason, 'own');
});
