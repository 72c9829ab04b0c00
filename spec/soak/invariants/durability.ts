/** What a process was told of its transfers before it ended. */
export class Outcomes {
  readonly kept = new Set<number>();
  readonly undone = new Set<number>();

  tell(numbers: readonly number[], kept: boolean): void {
    for (const number of numbers) (kept ? this.kept : this.undone).add(number);
  }

  /** What is wrong with what is in the file of them. What was not told yet may be either. */
  faults(inFile: ReadonlySet<number>): string[] {
    const lost = [...this.kept].filter((number) => !inFile.has(number));
    const risen = [...this.undone].filter((number) => inFile.has(number));
    const both = [...this.kept].filter((number) => this.undone.has(number));
    return [
      ...list('committed and not in the file', lost),
      ...list('rolled back and in the file', risen),
      ...list('told both ways', both),
    ];
  }
}

function list(what: string, numbers: readonly number[]): string[] {
  if (numbers.length === 0) return [];
  const shown = numbers.slice(0, 5).join(', ');
  return [`${numbers.length} ${what}: ${shown}${numbers.length > 5 ? ', …' : ''}`];
}
