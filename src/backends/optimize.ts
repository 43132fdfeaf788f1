/** What every compiling backend does to a program first: fewer nodes, the same values. */
import { shareCommon } from '../tensor/passes/cse.js';
import { simplify } from '../tensor/passes/simplify.js';
import { rootsOf, withRoots, type Program } from './backend.js';

/** A program with algebraic rules applied and equal nodes computed once. The reference backend runs programs as they are. */
export function optimize(program: Program): Program {
  return withRoots(program, shareCommon(simplify(rootsOf(program))));
}
