import { once } from 'node:events';
import { createServer, request as requestOf } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { temporaryDirectory } from '../support/files.ts';
import { openItems } from '../support/items.ts';
import { inspect, serve } from './support/serve.ts';

// Requests that no browser sends, word for word, and those over a Unix socket.

/** Sends a text as a request, and gives all that is said. */
async function say(port: number, request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.end(request);
  return text(socket);
}

const requests: Readonly<Record<string, [request: string, answer: RegExp]>> = {
  'two slashes before the path': [
    'GET //evil.com/data HTTP/1.1\r\nHost: localhost\r\n',
    /^HTTP\/1.1 200 [\s\S]*"protocol":1/,
  ],
  'the whole address instead of a path': [
    'GET http://localhost/lease?pool=0&lease=1 HTTP/1.1\r\nHost: localhost\r\n',
    /^HTTP\/1.1 404 /,
  ],
  'the whole address of another host': ['GET http://evil.com/data HTTP/1.1\r\nHost: localhost\r\n', /^HTTP\/1.1 200 /],
  'the whole address here, and another host': [
    'GET http://localhost/data HTTP/1.1\r\nHost: evil.com\r\n',
    /^HTTP\/1.1 403 /,
  ],
  'dots in the path': ['GET /a/../../data HTTP/1.1\r\nHost: localhost\r\n', /^HTTP\/1.1 200 [\s\S]*"protocol":1/],
  'a host of HTTP/1.0': ['GET /data HTTP/1.0\r\nHost: localhost\r\n', /^HTTP\/1.1 403 /],
  'no host': ['GET /data HTTP/1.0\r\n', /^HTTP\/1.1 403 /],
  'a host that is none': ['GET /data HTTP/1.1\r\nHost: a b\r\n', /^HTTP\/1.1 400 /],
  'an empty host': ['GET /data HTTP/1.1\r\nHost:\r\n', /^HTTP\/1.1 40[03] /],
  'a user in the host': ['GET /data HTTP/1.1\r\nHost: evil.com@localhost\r\n', /^HTTP\/1.1 40[03] /],
  'a path in the host': ['GET / HTTP/1.1\r\nHost: localhost/data?\r\n', /^HTTP\/1.1 403 /],
  'an asterisk': ['OPTIONS * HTTP/1.1\r\nHost: localhost\r\n', /^HTTP\/1.1 40[05] /],
  'a method for tunnels': ['TRACE /data HTTP/1.1\r\nHost: localhost\r\n', /^HTTP\/1.1 40[05] /],
  'a body nobody wants': [
    'GET /data HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello',
    /^HTTP\/1.1 200 [\s\S]*"protocol":1/,
  ],
  'bytes beyond ASCII': ['GET /d\u00e4ta HTTP/1.1\r\nHost: localhost\r\nX: \u00ff\r\n', /^HTTP\/1.1 (?:200|400) /],
};

for (const [what, [request, answer]] of Object.entries(requests)) {
  test(`a request with ${what} is answered in order`, async (t) => {
    const { port } = await serve(t, inspect(t, await openItems(t)).node);
    const said = await say(port, request.includes('\r\n\r\n') ? request : `${request}Connection: close\r\n\r\n`);
    t.regex(said, answer);
    // Nothing that was asked is in what is said of itself.
    t.notRegex(said.slice(0, said.indexOf('\r\n\r\n')), /evil|a b/);
    if (!/^HTTP\/1.1 400 Bad Request\r\nConnection: close\r\n\r\n$/.test(said))
      t.regex(said, /x-content-type-options: nosniff/i);
  });
}

test('over a Unix socket nobody is let in unless authorize says so', async (t) => {
  const pool = await openItems(t);
  const path = join(temporaryDirectory(t), 'socket');
  let page = inspect(t, pool);
  const server = createServer((request, response) => page.node(request, response)).listen(path);
  t.teardown(() => void server.close());
  await once(server, 'listening');
  const ask = async () => {
    const request = requestOf({ socketPath: path, path: '/data', agent: false, headers: { host: 'localhost' } }).end();
    const [response] = await once(request, 'response');
    return [response.statusCode, await text(response)] as const;
  };
  const [status, sentence] = await ask();
  t.is(status, 403);
  t.regex(sentence, /not known where the request comes from/);
  page = inspect(t, pool, { authorize: () => true });
  t.is((await ask())[0], 200);
});
