import { orderSuite } from './support/order-suite.ts';

orderSuite('drizzle');
