import { abortSuite } from './suite-abort-a.ts';
import { responseSuite } from './suite-response-a.ts';
import { scopeSuite } from './suite-scope-a.ts';
import { transactionalSuite } from './suite-transactional-a.ts';
import { withFastify } from './support.ts';

scopeSuite(withFastify);

abortSuite(withFastify);

responseSuite(withFastify);

transactionalSuite(withFastify);
