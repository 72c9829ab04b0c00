import { responseSuite } from './suite-response-a.ts';
import { withNode } from './support.ts';

responseSuite(withNode);
