import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { availableParallelism, cpus, loadavg } from 'node:os';
import Database from 'better-sqlite3';
import type { Machine } from './result.ts';

/** @param packages those whose versions count, in the order in which they are named */
export function describeMachine(packages: readonly string[]): Machine {
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    load: loadavg()[0] ?? 0,
    versions: Object.fromEntries(packages.map((name) => [name, versionOf(name)])),
  };
}

export function versionOfSqlite(): string {
  const db = new Database(':memory:');
  try {
    return String(db.prepare('SELECT sqlite_version()').pluck().get());
  } finally {
    db.close();
  }
}

/** The same machine, with the version of the database named first. */
export function withDatabaseVersion(machine: Machine, database: string, version: string): Machine {
  return { ...machine, versions: { [database]: version, ...machine.versions } };
}

/** Found as a file, because some packages do not export their package.json. */
function versionOf(name: string): string {
  const file = findPackageJSON(name, import.meta.url);
  if (file === undefined) throw new Error(`${name} has no package.json`);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
