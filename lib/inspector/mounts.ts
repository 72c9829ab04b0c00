import { describeCause } from '../errors.ts';
import { type Answer, exchange, letGo, type NodeRequest, type NodeResponse, peerOf, send } from './node-exchange.ts';
import { plain } from './plain.ts';

type Next = (error?: unknown) => void;

/** What is used of Koa's context. */
export interface KoaContext {
  readonly req: NodeRequest;
  readonly res: NodeResponse;
  respond?: boolean;
}

/** What is used of Hono's context. */
export interface HonoContext {
  readonly req: { readonly raw: Request };
  /** Of `@hono/node-server`: Node's own request and response. */
  readonly env?: unknown;
}

/** What `@hono/node-server` passes for an environment. */
interface NodeExchange {
  readonly incoming: NodeRequest;
  readonly outgoing: NodeResponse;
}

/** What is used of an instance of Fastify. */
export interface FastifyInstance {
  route(options: {
    method: ('GET' | 'HEAD')[];
    url: string;
    exposeHeadRoute: boolean;
    handler: (request: FastifyRequest, reply: FastifyReply) => void;
  }): unknown;
}

/** What is used of a request of Fastify. */
export interface FastifyRequest {
  readonly raw: NodeRequest;
}

/** What is used of a reply of Fastify. */
export interface FastifyReply {
  readonly raw: NodeResponse;
  hijack(): unknown;
}

/** A handler for each framework. */
export interface Mounts {
  /** For `http.createServer`, and HTTP/2: `(request, response)`. What `authorize` throws is a warning of the process, and a 500. */
  readonly node: (request: NodeRequest, response: NodeResponse) => void;
  /** `app.use('/_pool', page.express)`. What `authorize` throws goes to `next`. */
  readonly express: (request: NodeRequest, response: NodeResponse, next: Next) => void;
  /** A plugin: `app.register(page.fastify, { prefix: '/_pool' })`. What `authorize` throws is as with `node`. */
  readonly fastify: (app: FastifyInstance, options: unknown, done: () => void) => void;
  /** A middleware that answers all it is given: `router.get('/_pool{/:part}', page.koa)`. */
  readonly koa: (context: KoaContext) => Promise<void>;
  /** `app.get('/_pool/*', page.hono)`. By `@hono/node-server` it is known who asks. */
  readonly hono: (context: HonoContext) => Promise<Response>;
}

const parts = ['/', '/data', '/events', '/lease'];

export function mountsOf(answer: Answer): Mounts {
  const serve = (request: NodeRequest, response: NodeResponse): Promise<void> => exchange(answer, request, response);
  const node = (request: NodeRequest, response: NodeResponse): void =>
    void serve(request, response).catch((error: unknown) => fail(error, response));
  const handleRaw = ({ raw }: FastifyRequest, reply: FastifyReply): void => {
    reply.hijack();
    node(raw, reply.raw);
  };
  return {
    node,
    express: (request, response, next) => void serve(request, response).catch(next),
    fastify: (app, _options, done) => {
      for (const url of parts) app.route({ method: ['GET', 'HEAD'], url, exposeHeadRoute: false, handler: handleRaw });
      done();
    },
    koa: (context) => {
      context.respond = false;
      return serve(context.req, context.res);
    },
    hono: async ({ req: { raw }, env }) => {
      const { incoming, outgoing } = (env ?? {}) as Partial<NodeExchange>;
      const answered = await answer(raw, incoming?.socket === undefined ? {} : peerOf(incoming));
      if (answered.body !== null && outgoing !== undefined) letGo(answered.body, outgoing);
      return answered;
    },
  };
}

function fail(error: unknown, response: NodeResponse): Promise<void> {
  process.emitWarning(`The inspector could not say who may see it: ${describeCause(error)}`);
  return send(plain(500, 'It could not be said whether you may see the inspector.'), response);
}
