import { postgres } from './postgres-subject.ts';
import { testModel } from './suite-model.ts';
import { testStorm } from './suite-storm.ts';

testModel(postgres);
testStorm(postgres);
