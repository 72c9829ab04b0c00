import * as contentionCharts from './contention/charts.ts';
import * as contentionReport from './contention/report.ts';
import * as expressCharts from './express/charts.ts';
import * as expressReport from './express/report.ts';
import * as inspectorCharts from './inspector/charts.ts';
import * as inspectorReport from './inspector/report.ts';
import * as leaseCharts from './lease/charts.ts';
import * as leaseReport from './lease/report.ts';
import * as postgresCharts from './postgres/charts.ts';
import * as postgresReport from './postgres/report.ts';
import type { Bench } from './support/bench.ts';
import type { Presentation, Result } from './support/result.ts';

interface Entry {
  readonly summary: string;
  /** Only the one that is run is loaded. */
  load(): Promise<Bench>;
  readonly presentation: Presentation<Result>;
}

/** Results are kept as text: who wrote them is told by the name of their bench. */
function presenting<Kept extends Result>({ tables, judgement, charts }: Presentation<Kept>): Presentation<Result> {
  return {
    tables: (result) => tables(result as Kept),
    judgement: (result) => judgement(result as Kept),
    charts: (result) => charts(result as Kept),
  };
}

/** Every bench by its name. */
export const benches: Readonly<Record<string, Entry>> = {
  lease: {
    summary: 'what a lease costs, beside generic-pool, tarn, lightning-pool and the bare driver',
    load: async () => (await import('./lease/index.ts')).lease,
    presentation: presenting({ ...leaseReport, ...leaseCharts }),
  },
  contention: {
    summary: 'transactions that await, 64 at once, beside a mutex, generic-pool, Kysely and Knex',
    load: async () => (await import('./contention/index.ts')).contention,
    presentation: presenting({ ...contentionReport, ...contentionCharts }),
  },
  express: {
    summary: 'what a scope adds to a request of Express that does next to nothing',
    load: async () => (await import('./express/index.ts')).express,
    presentation: presenting({ ...expressReport, ...expressCharts }),
  },
  inspector: {
    summary: 'what the inspector costs the process whose pool it shows',
    load: async () => (await import('./inspector/index.ts')).inspector,
    presentation: presenting({ ...inspectorReport, ...inspectorCharts }),
  },
  postgres: {
    summary:
      'what a connection to PostgreSQL costs, beside the pools of pg and of postgres, on the server of DATABASE_URL or one of its own',
    load: async () => (await import('./postgres/index.ts')).postgres,
    presentation: presenting({ ...postgresReport, ...postgresCharts }),
  },
};
