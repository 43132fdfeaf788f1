/** What every compiling backend does to a program first: fewer nodes, the same values. */
import { shareCommon } from '../tensor/passes/cse.js';
import { simplify } from '../tensor/passes/simplify.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Program } from './backend.js';

/** A program with algebraic rules applied and equal nodes computed once. The reference backend runs programs as they are. */
export function optimize(program: Program): Program {
  const outputs = Object.entries(program.outputs), updates = Object.entries(program.updates ?? {});
  const done = shareCommon(simplify([...outputs, ...updates].map(([, t]) => t)));
  const pick = (entries: readonly [string, Tensor][], from: number): Record<string, Tensor> => Object.fromEntries(entries.map(([name], i) => [name, done[from + i]]));
  return { name: program.name, outputs: pick(outputs, 0), updates: pick(updates, outputs.length) };
}
