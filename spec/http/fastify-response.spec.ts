import { responseSuite } from './suite-response-a.ts';
import { withFastify } from './support.ts';

responseSuite(withFastify);
