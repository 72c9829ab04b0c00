/** Looks at memory that come first and count for nothing: code is compiled, caches fill. */
export const warmUp = 2;
/** Looks of which the median is taken, at the beginning and at the end. */
export const window = 3;

/**
 * Bytes by which the heap of a worker may be larger at the end. It grows by 1.2 MB in five minutes of some 12 000 operations, most of
 * it while code is still being compiled and the accounts of labels fill; 16 KB kept of each lease made that 29 MB in less than two.
 */
export const heapBound = 3 * 2 ** 20;
/** All connections are closed when they are counted, so there is none to spare. One may be the runtime's own. */
export const descriptorBound = 1;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** How much something has grown from the warm-up to the end, `undefined` where there are too few looks to tell. */
export function growth(looks: readonly number[]): number | undefined {
  if (looks.length < warmUp + 2 * window) return undefined;
  return median(looks.slice(-window)) - median(looks.slice(warmUp, warmUp + window));
}

export function memoryFaults(heaps: readonly number[], descriptors: readonly number[]): string[] {
  const faults: string[] = [];
  const heap = growth(heaps);
  if (heap !== undefined && heap > heapBound)
    faults.push(`the heap grew by ${(heap / 2 ** 20).toFixed(1)} MB over ${heaps.length} quiet points`);
  const files = growth(descriptors);
  if (files !== undefined && files > descriptorBound)
    faults.push(`${files} more descriptors are open after ${descriptors.length} quiet points`);
  return faults;
}
