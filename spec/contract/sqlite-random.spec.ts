import { sqlite } from './sqlite-subject.ts';
import { testModel } from './suite-model.ts';
import { testStorm } from './suite-storm.ts';

testModel(sqlite);
testStorm(sqlite);
