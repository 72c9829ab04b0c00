import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import test, { type ExecutionContext } from 'ava';
import { Cover, HeldEnd } from '../../lib/http/held-end.ts';
import { serve } from './support.ts';

/** What a client gets of a response that `answer` makes. */
async function answered(t: ExecutionContext, answer: (response: ServerResponse) => void): Promise<Response> {
  const { url } = await serve(t, (_, response) => answer(response));
  return fetch(url);
}

test('an end is kept back until it is released, and everything of it goes out then', async (t) => {
  let ends = 0;
  const response = await answered(t, (raw) => {
    raw.statusCode = 201;
    raw.setHeader('x-own', '1');
    const held = new HeldEnd(raw, () => ends++);
    raw.write('a');
    raw.end('b', 'utf8', () => ends++);
    t.is(ends, 1);
    t.false(raw.writableFinished);
    held.release();
    t.true(raw.writableEnded);
  });
  t.is(`${response.status} ${response.headers.get('x-own')} ${await response.text()}`, '201 1 ab');
  t.is(ends, 2);
});

test('a response looks as ended as Node makes it while its end is kept back, and as before when that is dropped', async (t) => {
  const response = await answered(t, (raw) => {
    raw.statusCode = 202;
    const before = Object.keys(raw);
    const held = new HeldEnd(raw, () => {});
    t.false(raw.headersSent || raw.writableEnded || raw.finished);
    raw.end('held');
    t.true(raw.headersSent && raw.writableEnded && raw.finished);
    for (const refused of [
      () => raw.setHeader('x', '1'),
      () => raw.removeHeader('x'),
      () => raw.appendHeader('x', '1'),
    ]) {
      t.throws(refused, { code: 'ERR_HTTP_HEADERS_SENT' });
    }
    raw.statusCode = 500;
    t.is(held.status, 202);
    held.drop();
    t.false(raw.headersSent || raw.writableEnded || raw.finished);
    t.deepEqual(Object.keys(raw), before);
    t.is(Object.getOwnPropertyDescriptor(raw, 'end'), undefined);
    raw.setHeader('x-after', '1');
    raw.end('other');
  });
  t.is(`${response.status} ${response.headers.get('x-after')} ${await response.text()}`, '500 1 other');
});

test('a status, and its message, that are set after the end are not those that are told', async (t) => {
  const response = await answered(t, (raw) => {
    const held = new HeldEnd(raw, () => {});
    raw.end('x');
    raw.statusCode = 500;
    raw.statusMessage = 'Too late';
    held.release();
  });
  t.is(`${response.status} ${response.statusText}`, '200 OK');
});

test('what is written after the end fails when the end has gone out, as Node says it', async (t) => {
  const errors: unknown[] = [];
  const response = await answered(t, (raw) => {
    const held = new HeldEnd(raw, () => {});
    raw.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code));
    raw.end('x');
    t.false(raw.write('y'));
    held.release();
  });
  t.is(await response.text(), 'x');
  t.deepEqual(errors, ['ERR_STREAM_WRITE_AFTER_END']);
});

for (const order of ['before', 'after'] as const) {
  test(`somebody who lays a function of his own over end ${order} is called once, and stays`, async (t) => {
    let calls = 0;
    const response = await answered(t, (raw) => {
      const wrap = () => {
        const { end } = raw;
        raw.end = ((text: string) => {
          calls++;
          return end.call(raw, text, 'utf8');
        }) as ServerResponse['end'];
      };
      if (order === 'before') wrap();
      const held = new HeldEnd(raw, () => {});
      if (order === 'after') wrap();
      raw.end('x');
      held.release();
      t.true(Object.hasOwn(raw, 'end'));
    });
    t.is(await response.text(), 'x');
    t.is(calls, 1);
  });

  test(`what was laid over end ${order} still works where nothing was held`, async (t) => {
    const response = await answered(t, (raw) => {
      const wrap = () => {
        const { end } = raw;
        raw.end = ((text: string) => end.call(raw, `${text}!`, 'utf8')) as ServerResponse['end'];
      };
      if (order === 'before') wrap();
      const held = new HeldEnd(raw, () => t.fail('It has gone by'));
      if (order === 'after') wrap();
      held.release();
      raw.end('x');
    });
    t.is(await response.text(), 'x!');
  });
}

test('two that keep back the same end let it out one after the other', async (t) => {
  const ends: string[] = [];
  const response = await answered(t, (raw) => {
    const outer = new HeldEnd(raw, () => ends.push('outer'));
    const inner = new HeldEnd(raw, () => ends.push('inner'));
    raw.end('x');
    t.deepEqual(ends, ['inner']);
    inner.release();
    t.deepEqual(ends, ['inner', 'outer']);
    t.true(raw.writableEnded);
    t.false(raw.writableFinished);
    outer.release();
    void once(raw, 'close').then(() => ends.push('closed'));
  });
  t.is(await response.text(), 'x');
});

test('a cover gives back what it covered: values, accessors, and what was not there', (t) => {
  const target: Record<string, unknown> = { value: 1 };
  Object.defineProperty(target, 'accessor', { get: () => 2, configurable: true, enumerable: true });
  const before = Object.getOwnPropertyDescriptors(target);
  const cover = new Cover(target, { value: 'a', accessor: 'b', missing: 'c' });
  t.deepEqual([target['value'], target['accessor'], target['missing']], ['a', 'b', 'c']);
  cover.remove();
  t.deepEqual(Object.getOwnPropertyDescriptors(target), before);
});
