import { transactionalSuite } from './suite-transactional-a.ts';
import { withFastify } from './support.ts';

transactionalSuite(withFastify);
