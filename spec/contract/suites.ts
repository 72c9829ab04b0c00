import type { ContractHandle, Subject } from './subject.ts';
import { testLifetime } from './suite-lifetime.ts';
import { testNesting } from './suite-nesting.ts';
import { testOpenTransactions } from './suite-open-transactions.ts';
import { testReports } from './suite-reports.ts';
import { testReturn } from './suite-return.ts';
import { testScopeEnds } from './suite-scope-ends.ts';
import { testScopes } from './suite-scopes.ts';
import { testTransactions } from './suite-transactions.ts';
import { testWaiting } from './suite-waiting.ts';

/** All that every database must keep to, but for what is random. */
export function testContract<Db extends ContractHandle>(subject: Subject<Db>): void {
  testScopes(subject);
  testScopeEnds(subject);
  testWaiting(subject);
  testTransactions(subject);
  testNesting(subject);
  testOpenTransactions(subject);
  testReturn(subject);
  testLifetime(subject);
  testReports(subject);
}
