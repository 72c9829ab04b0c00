import { EventEmitter } from 'node:events';
import test from 'ava';
import { findScope, pathLabel, type ServerResponseLike, scopeOfExchange } from '../../lib/http/request-scope.ts';
import { settled } from '../support/gate.ts';
import { openItems } from '../support/items.ts';
import { watchDirt } from '../support/sqlite.ts';
import { isIdle, watchScopes } from './support.ts';

/** A response that does as it is told. */
class Response extends EventEmitter implements ServerResponseLike {
  writableEnded = false;
  destroyed = false;
  req: object | undefined;
}

const label = (): string => 'GET /';

test('a scope is found again by its request and its pool', async (t) => {
  const [one, two] = [await openItems(t), await openItems(t)];
  const [request, response] = [{}, new Response()];
  const first = scopeOfExchange(one, request, response, label);
  const second = scopeOfExchange(two, request, response, label);
  t.not<unknown, unknown>(first, second);
  t.is(scopeOfExchange(one, request, response, label), first);
  t.is(findScope(two, request), second);
  t.is(findScope(one, {}), undefined);
  // That of the second pool lies within that of the first.
  t.true(second.run(() => first.isHere && second.isHere));
  response.writableEnded = true;
  response.emit('close');
  t.true(first.scope.ended && second.scope.ended);
});

test('a scope ends with its response: aborted where that was not complete, once, and not reported as left behind', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const dirt = watchDirt(pool);
  for (const complete of [true, false]) {
    const response = new Response();
    const own = scopeOfExchange(pool, {}, response, label);
    const db = await own.run(() => pool.connection());
    t.true(db.open);
    response.writableEnded = complete;
    response.emit('close');
    response.emit('close');
    t.is(own.signal.aborted, !complete);
    await settled();
    t.true(own.scope.ended);
    await isIdle(t, pool);
  }
  t.deepEqual(dirt, []);
});

test('a response that is over already has a scope that is over too', async (t) => {
  const pool = await openItems(t);
  const response = Object.assign(new Response(), { destroyed: true });
  const own = scopeOfExchange(pool, {}, response, label);
  t.true(own.signal.aborted);
  await settled();
  t.true(own.scope.ended);
  const socket = Object.assign(new EventEmitter(), { destroyed: true });
  const queued = Object.assign(new Response(), { req: { httpVersionMajor: 1, method: 'GET', socket } });
  t.true(scopeOfExchange(pool, {}, queued, label).signal.aborted);
});

test('a response without an event of its own ends with its socket, which has one listener however many there are', async (t) => {
  const pool = await openItems(t);
  const socket = Object.assign(new EventEmitter(), { destroyed: false });
  const responses = Array.from({ length: 20 }, () =>
    Object.assign(new Response(), { socket: null, req: { httpVersionMajor: 1, method: 'GET', socket } }),
  );
  const scopes = responses.map((response) => scopeOfExchange(pool, {}, response, label));
  t.is(socket.listenerCount('close'), 1);
  const [first] = responses;
  if (first !== undefined) first.writableEnded = true;
  first?.emit('close');
  t.deepEqual(
    scopes.map(({ scope }) => scope.ended),
    [true, ...Array.from({ length: 19 }, () => false)],
  );
  socket.emit('close');
  await settled();
  t.true(scopes.every(({ scope }) => scope.ended));
  t.deepEqual(
    scopes.map(({ signal }) => signal.aborted),
    [false, ...Array.from({ length: 19 }, () => true)],
  );
});

test('code that is in the scope stays where it is: in its transaction', async (t) => {
  const pool = await openItems(t);
  const response = new Response();
  const own = scopeOfExchange(pool, {}, response, label);
  t.false(own.isHere);
  await own.run(async () => {
    t.true(own.isHere);
    await pool.transaction(async (tx) => {
      t.true(own.isHere);
      t.is(
        own.run(() => pool.current),
        tx,
      );
      t.not(
        own.scope.run(() => pool.current),
        tx,
      );
    });
    await pool.withConnection(() => t.true(own.isHere));
  });
  response.writableEnded = true;
  response.emit('close');
  // What is left over of it still belongs to it, and is refused.
  t.true(own.scope.run(() => own.isHere));
  t.throws(() => own.run(() => pool.db.prepare('SELECT 1').get()), { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
});

test('a scope that is opened in the context of another request is no part of that', async (t) => {
  const pool = await openItems(t);
  const { watched, scopes } = watchScopes(pool);
  const [outer, inner] = [new Response(), new Response()];
  const around = scopeOfExchange(watched, {}, outer, label);
  const own = around.run(() => scopeOfExchange(watched, {}, inner, label));
  t.false(own.run(() => around.isHere));
  outer.emit('close');
  await settled();
  t.deepEqual(
    scopes.map(({ ended, aborted }) => [ended, aborted]),
    [
      [true, true],
      [false, false],
    ],
  );
  t.is((await own.run(() => pool.connection())).open, true);
  inner.emit('close');
  await isIdle(t, pool);
});

test('events of a request with a body, and of a response that waits for its turn, are heard in the scope', async (t) => {
  const pool = await openItems(t);
  const heard: boolean[] = [];
  const listenTo = (emitter: EventEmitter, own: { readonly isHere: boolean }) => {
    emitter.on('data', () => heard.push(own.isHere));
    t.true(emitter.emit('data'));
    t.false(emitter.emit('nothing'));
  };
  const request = Object.assign(new EventEmitter(), { httpVersionMajor: 1, method: 'POST' });
  const posted = Object.assign(new Response(), { req: request, socket: {} });
  const own = scopeOfExchange(pool, {}, posted, label);
  listenTo(request, own);
  const queued = Object.assign(new Response(), { req: { httpVersionMajor: 1, method: 'GET' }, socket: null });
  listenTo(queued, scopeOfExchange(pool, {}, queued, label));
  t.deepEqual(heard, [true, true]);
  // In nobody else's way.
  await own.run(() =>
    pool.transaction((tx) => {
      request.once('end', () => t.is(pool.current, tx));
      request.emit('end');
    }),
  );
  for (const response of [posted, queued]) response.emit('close');
  await isIdle(t, pool);
});

test('a path stands in a label without what is asked of it', (t) => {
  t.is(pathLabel('POST', '/a/b?secret=1?2'), 'POST /a/b');
  t.is(pathLabel(undefined, undefined), 'GET /');
});
