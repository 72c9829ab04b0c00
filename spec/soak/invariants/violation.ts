/** What must hold, by name. */
export const invariants = {
  money: 'money is conserved, and every account is what the journal says',
  durability: 'what was told to be committed is in the file, what was told to be rolled back is not',
  integrity: 'integrity_check and foreign_key_check find nothing',
  exclusive: 'nobody shares a connection or the right to write, and no more than max leases are held',
  slots: 'at quiet points nothing is held or waited for, and max leases can be had',
  deadlines: 'nobody waits beyond his deadline',
  stalls: 'the event loop never sleeps for a lock',
  memory: 'heap, descriptors and files stay what they are',
  errors: 'operations meet only the errors they may meet',
} as const;

export type Invariant = keyof typeof invariants;

/** Something that does not hold. */
export interface Violation {
  readonly invariant: Invariant;
  /** In one line. */
  readonly account: string;
}
