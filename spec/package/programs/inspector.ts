import { inspector, type Report } from '../../../lib/inspector.ts';
import { byPath, openPool, run, send, serve, visit } from './support.ts';

run(async () => {
  const pool = await openPool();
  const page = inspector(pool);
  const handle = (name: string): Promise<void> => pool.transaction(() => visit(pool, name), { label: name });
  const server = serve((request, response) => {
    const answer = async (): Promise<void> => {
      const name = request.url?.slice(1) ?? '';
      if (name !== 'kept' && name !== 'refused') {
        page.node(request, response);
        return;
      }
      await handle(name).catch(() => {
        response.statusCode = 403;
      });
      response.end();
    };
    void answer();
  });
  await send(server, byPath);
  const answered = await page(new Request('http://localhost/_pool/data', { headers: { host: 'localhost' } }), {
    address: '127.0.0.1',
  });
  const { pools } = (await answered.json()) as Report;
  if (pools[0]?.counters['acquired'] === undefined || pools[0].longest.length === 0)
    throw new Error('Nothing is shown');
  const refused = await page(new Request('http://localhost/_pool/data'));
  if (refused.status !== 403) throw new Error(`A stranger got ${refused.status}`);
  await pool.close();
});
