import { leak, leftovers, outliving, resize, upkeep } from './hazards.ts';
import { Operation } from './operation.ts';
import type { Kind, Plan } from './plans.ts';
import { audit, burst, explicit, reading } from './readings.ts';
import { nested, separate, statement, synchronous, transfer } from './transfers.ts';
import type { World } from './world.ts';

const kinds: Readonly<Record<Kind, (operation: Operation) => Promise<void>>> = {
  transfer,
  nested,
  separate,
  synchronous,
  statement,
  audit,
  reading,
  explicit,
  burst,
  leftovers,
  outliving,
  leak,
  resize,
  upkeep,
};

/** Does what was planned. What goes wrong is judged. */
export async function perform(world: World, plan: Plan): Promise<void> {
  const operation = new Operation(world, plan);
  try {
    await kinds[plan.kind](operation);
  } catch (error) {
    operation.judge(error);
  } finally {
    operation.end();
    world.counts.operations++;
  }
}
