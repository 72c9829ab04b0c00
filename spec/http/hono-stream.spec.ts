import { withHono } from './frameworks-b.ts';
import { streamSuite } from './suite-stream-b.ts';

streamSuite(withHono);
