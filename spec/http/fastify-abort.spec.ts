import { abortSuite } from './suite-abort-a.ts';
import { withFastify } from './support.ts';

abortSuite(withFastify);
