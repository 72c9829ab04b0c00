import { transactionalSuite } from './suite-transactional-a.ts';
import { withExpress } from './support.ts';

transactionalSuite(withExpress);
