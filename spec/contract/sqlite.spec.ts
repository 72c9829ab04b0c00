import { sqlite } from './sqlite-subject.ts';
import { testContract } from './suites.ts';

testContract(sqlite);
