import { scopeSuite } from './suite-scope-a.ts';
import { withNode } from './support.ts';

scopeSuite(withNode);
