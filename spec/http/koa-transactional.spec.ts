import { withKoa } from './frameworks-b.ts';
import { transactionalSuite } from './suite-transactional-b.ts';

transactionalSuite(withKoa);
