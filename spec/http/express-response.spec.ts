import { responseSuite } from './suite-response-a.ts';
import { withExpress } from './support.ts';

responseSuite(withExpress);
