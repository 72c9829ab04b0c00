// The server of one row, as a process of its own: no row shares compiled code with another.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { AddressInfo } from 'node:net';
import framework, { type RequestHandler } from 'express';
import { express } from '../../lib/http/express.ts';
import { createPool } from '../../lib/index.ts';
import type { Kind, Report } from './kinds.ts';

const [kind, file] = process.argv.slice(2) as [Kind, string];
const pool = createPool(file);

function middlewareOf(): RequestHandler | undefined {
  switch (kind) {
    case 'plain':
      return undefined;
    case 'layer':
      return (_, __, next) => next();
    case 'als': {
      const storage = new AsyncLocalStorage<object>();
      return (_, __, next) => storage.run({}, next);
    }
    case 'scope':
      return express(pool);
    case 'eager':
      return express(pool, { eager: true });
    default:
      throw new Error(`There is no row "${String(kind)}"`);
  }
}

const app = framework();
const middleware = middlewareOf();
if (middleware !== undefined) app.use(middleware);
app.get('/', (_, response) => void response.send('hello'));

const server = app.listen(0, '127.0.0.1', () => tell());

function tell(): void {
  const { user, system } = process.cpuUsage();
  const report: Report = { port: (server.address() as AddressInfo).port, processor: user + system };
  process.send?.(report);
}

process.on('message', tell);
// However its parent ends.
process.on('disconnect', () => process.exit());
