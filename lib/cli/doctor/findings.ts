import { type Facts, type Finding, groups } from './finding.ts';
import { contentFindings } from './findings/content.ts';
import { fileFindings } from './findings/file.ts';
import { journalFindings } from './findings/journal.ts';
import { schemaFindings } from './findings/schema.ts';
import { spaceFindings } from './findings/space.ts';
import { userFindings } from './findings/users.ts';

/** What the facts mean, in the order in which it is shown. */
export function findingsOf(facts: Facts): Finding[] {
  const findings = [
    ...fileFindings(facts),
    ...journalFindings(facts),
    ...userFindings(facts),
    ...spaceFindings(facts),
    ...schemaFindings(facts),
    ...contentFindings(facts),
  ];
  return findings.toSorted((a, b) => groups.indexOf(a.group) - groups.indexOf(b.group));
}
