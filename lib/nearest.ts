/**
 * Of `known` the one that was probably meant by `given`, if any is near enough.
 *
 * @param mistakes as many are forgiven: else one in a short word, two or three in a long one
 */
export function nearestOf(given: string, known: readonly string[], mistakes?: number): string | undefined {
  const wanted = bare(given);
  if (wanted === '') return undefined;
  let nearest: string | undefined;
  let least = (mistakes ?? Math.ceil(wanted.length / 3)) + 1;
  for (const name of known) {
    // The beginning of a word is as good as a mistake.
    const distance = bare(name).startsWith(wanted) ? 1 : distanceOf(wanted, bare(name));
    if (distance >= least) continue;
    least = distance;
    nearest = name;
  }
  return nearest;
}

/** Whether words are joined by dashes, underscores or capitals is no mistake. */
function bare(name: string): string {
  // Whoever types more than this has not misspelt a name.
  return name.slice(0, 64).replaceAll(/[-_]/g, '').toLowerCase();
}

/** How many letters are added, left out, changed or swapped with their neighbour. */
function distanceOf(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const line = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      const steps = [at(above, column) + 1, at(line, column - 1) + 1, at(above, column - 1) + (same ? 0 : 1)];
      const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) steps.push(at(before, column - 2) + 1);
      line.push(Math.min(...steps));
    }
    [before, above] = [above, line];
  }
  return at(above, b.length);
}

function at(numbers: readonly number[], index: number): number {
  return numbers[index] as number;
}
