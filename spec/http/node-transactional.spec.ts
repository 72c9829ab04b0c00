import { transactionalSuite } from './suite-transactional-a.ts';
import { withNode } from './support.ts';

transactionalSuite(withNode);
