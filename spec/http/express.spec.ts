import { abortSuite } from './suite-abort-a.ts';
import { responseSuite } from './suite-response-a.ts';
import { scopeSuite } from './suite-scope-a.ts';
import { transactionalSuite } from './suite-transactional-a.ts';
import { withExpress } from './support.ts';

scopeSuite(withExpress);

abortSuite(withExpress);

responseSuite(withExpress);

transactionalSuite(withExpress);
