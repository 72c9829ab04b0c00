import { withKoa } from './frameworks-b.ts';
import { abortSuite } from './suite-abort-b.ts';

abortSuite(withKoa);
