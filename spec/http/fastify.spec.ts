import { scopeSuite } from './suite-scope-a.ts';
import { withFastify } from './support.ts';

scopeSuite(withFastify);
