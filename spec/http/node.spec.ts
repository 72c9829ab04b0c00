import { abortSuite } from './suite-abort-a.ts';
import { responseSuite } from './suite-response-a.ts';
import { scopeSuite } from './suite-scope-a.ts';
import { transactionalSuite } from './suite-transactional-a.ts';
import { withNode } from './support.ts';

scopeSuite(withNode);

abortSuite(withNode);

responseSuite(withNode);

transactionalSuite(withNode);
