import { withHono } from './frameworks-b.ts';
import { transactionalSuite } from './suite-transactional-b.ts';

transactionalSuite(withHono);
