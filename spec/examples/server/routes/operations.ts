import type { SqlitePool } from '../../../../lib/index.ts';
import type { Exchange, Route } from '../http.ts';

/** What whoever runs the shop wants to know. */
export function operationRoutes(pool: SqlitePool): Route[] {
  /** withScope and connection: a scope that holds a connection only if it comes to that. */
  function getHealth({ query, label, signal }: Exchange) {
    const check = async () => {
      if (query.has('deep')) {
        const db = await pool.connection(); // From here to its end the scope holds one.
        db.prepare('SELECT 1').get();
      }
      return { ok: true, uptime: process.uptime() };
    };
    return pool.withScope(check, { label, signal });
  }

  return [
    {
      method: 'GET',
      path: '/health',
      about: 'whether the server lives; with ?deep also whether its database does (withScope, connection)',
      handle: getHealth,
    },
    {
      method: 'GET',
      path: '/pool',
      about: 'figures of the pool, and who holds connections',
      handle: () => ({ stats: pool.stats(), leases: pool.leases() }),
    },
  ];
}
