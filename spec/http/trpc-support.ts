import type { AnyTRPCRouter } from '@trpc/server';
import { initTRPC } from '@trpc/server';
import { createHTTPHandler } from '@trpc/server/adapters/standalone';
import type { ExecutionContext } from 'ava';
import { type Site, serve } from './support-b.ts';

export const { procedure, router, middleware, createCallerFactory } = initTRPC.create();

/** A server of this router's, and what has gone wrong in it. */
export async function serveRouter(t: ExecutionContext, routes: AnyTRPCRouter): Promise<Site & { errors: Error[] }> {
  const errors: Error[] = [];
  const handler = createHTTPHandler({
    router: routes,
    onError: ({ error }) => void errors.push(error.cause ?? error),
  });
  return { ...(await serve(t, handler)), errors };
}

export const text = (value: unknown): string => {
  if (typeof value !== 'string') throw new TypeError('A text is wanted');
  return value;
};

export async function gather<Value>(iterable: AsyncIterable<Value>): Promise<Value[]> {
  const all: Value[] = [];
  for await (const value of iterable) all.push(value);
  return all;
}
