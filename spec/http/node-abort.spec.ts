import { abortSuite } from './suite-abort-a.ts';
import { withNode } from './support.ts';

abortSuite(withNode);
