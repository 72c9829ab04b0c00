import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { availableParallelism, cpus, loadavg } from 'node:os';
import Database from 'better-sqlite3';

/** What a figure must be read with. */
export interface Machine {
  readonly date: string;
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly sqlite: string;
  /** Processes that wanted a core in the minute before the run. Well above 0, and the figures are not to be trusted. */
  readonly load: number;
  readonly versions: Readonly<Record<string, string>>;
}

export function describeMachine(packages: readonly string[]): Machine {
  const db = new Database(':memory:');
  const sqlite = String(db.prepare('SELECT sqlite_version()').pluck().get());
  db.close();
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    sqlite,
    load: loadavg()[0] ?? 0,
    versions: Object.fromEntries(packages.map((name) => [name, versionOf(name)])),
  };
}

/** Found as a file, because some packages do not export their package.json. */
function versionOf(name: string): string {
  const file = findPackageJSON(name, import.meta.url);
  if (file === undefined) throw new Error(`${name} has no package.json`);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

export function machineLine({ date, node, cpu, cores, sqlite, load, versions }: Machine): string {
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    date,
    `Node ${node}`,
    `${cpu}, ${cores} cores`,
    `load ${load.toFixed(2)} at the start`,
    `SQLite ${sqlite}`,
    ...packages,
  ].join(' · ');
}
