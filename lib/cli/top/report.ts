import type { Report } from '../../inspector/wire.ts';
import { CommandError } from '../command.ts';
import { isWhole } from './shape.ts';

const protocol: Report['protocol'] = 1;

/**
 * What an inspector sent.
 *
 * @throws NoReportError for what none sends
 * @throws CommandError where it speaks another version of the protocol
 */
export function readReport(text: string): Report {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new NoReportError('what it sends is not JSON');
  }
  if (!isRecord(value) || typeof value['protocol'] !== 'number') throw new NoReportError('what it sends is no report');
  if (value['protocol'] !== protocol) {
    throw new CommandError(
      `The inspector speaks version ${value['protocol']} of the protocol, and this leasehold version ${protocol}: use the one that the server uses.`,
    );
  }
  if (!isWhole(value)) throw new NoReportError('what it sends is only part of a report');
  return value as unknown as Report;
}

export class NoReportError extends Error {
  override readonly name = 'NoReportError';
}

/** The same of some pools alone. */
export function ofPools(report: Report, wanted: (name: string) => boolean): Report {
  const pools = report.pools.filter(({ name }) => wanted(name));
  const ids = new Set(pools.map(({ id }) => id));
  return {
    ...report,
    pools,
    ticks: report.ticks.map((tick) => ({ ...tick, pools: tick.pools.filter(({ pool }) => ids.has(pool)) })),
    trends: report.trends.filter(({ pool }) => ids.has(pool)),
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
