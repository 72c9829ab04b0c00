import { initTRPC } from '@trpc/server';
import { transactional, trpc } from '../../../lib/http/trpc.ts';
import { openPool, run, visit } from './support.ts';

run(async () => {
  const pool = await openPool();
  const { procedure, router, createCallerFactory } = initTRPC.create();
  const names = procedure.input((value: unknown) => String(value));
  const routes = router({
    visit: names
      .use(trpc(pool))
      .use(transactional(pool))
      .mutation(({ input }) => visit(pool, input)),
  });
  const caller = createCallerFactory(routes)({});
  await caller.visit('kept');
  const refusal: unknown = await caller.visit('refused').then(
    () => undefined,
    (error: unknown) => error,
  );
  if (refusal === undefined) throw new Error('It was admitted');
  await pool.close();
});
