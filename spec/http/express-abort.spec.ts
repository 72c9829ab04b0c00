import { abortSuite } from './suite-abort-a.ts';
import { withExpress } from './support.ts';

abortSuite(withExpress);
