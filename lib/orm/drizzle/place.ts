import { type Frame, frames } from '../../context.ts';

/**
 * Runs `fn` in the transaction that `frame` carries, wherever it is called: in the part of it that the caller is in, else
 * in the transaction itself. So what has a handle of the transaction can not get out of it by losing its async context, as
 * listeners and callbacks of others do; after its end it is refused.
 */
export function inside<Result>(frame: Frame, fn: () => Result): Result {
  const here = frames.getStore();
  if (here === frame) return fn();
  for (let level = here?.level; level !== undefined; level = level.around) {
    // The scope of the transaction all the same: the caller may have another connection by now.
    if (level === frame.level) return frames.run({ ...frame, level: here?.level }, fn);
  }
  return frames.run(frame, fn);
}
