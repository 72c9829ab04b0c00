import { postgres } from './postgres-subject.ts';
import { testContract } from './suites.ts';

testContract(postgres);
