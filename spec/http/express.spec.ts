import { scopeSuite } from './suite-scope-a.ts';
import { withExpress } from './support.ts';

scopeSuite(withExpress);
