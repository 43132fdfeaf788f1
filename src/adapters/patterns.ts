/** One number for all modules, and patterns for those that differ, as PEFT's configs have them. */

export interface Patterned {
  readonly usual: number;
  /** module name -> its own number */
  readonly others: Readonly<Record<string, number>>;
}

export function patterned(values: ReadonlyMap<string, number>): Patterned {
  const counts = new Map<number, number>();
  for (const value of values.values()) counts.set(value, (counts.get(value) ?? 0) + 1);
  const [usual] = [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best));
  return { usual, others: Object.fromEntries([...values].filter(([, value]) => value !== usual)) };
}

/** The numbers that a function gives the modules. */
export const numbersOf = <M>(modules: ReadonlyMap<string, M>, of: (module: M) => number): Map<string, number> =>
  new Map([...modules].map(([name, module]) => [name, of(module)]));
