/** The stand-in for a U-Net in recorded trajectories, read from its formula, such as `eps = 0.8*tanh(x_in) - 0.05*(t/1000)`. */
import { UserError } from '../../src/base/errors.js';

export type FakeModel = (x: number, t: number) => number;

const NUMBER = /^\d*\.?\d+(?:e[-+]?\d+)?$/i;
const FACTORS: Readonly<Record<string, FakeModel>> = {
  x_in: (x) => x,
  'tanh(x_in)': (x) => Math.tanh(x),
  'sin(x_in)': (x) => Math.sin(x),
  'cos(x_in)': (x) => Math.cos(x),
  '(t/1000)': (_, t) => t / 1000,
  't/1000': (_, t) => t / 1000,
};

/** @param formula a sum of terms with plus or minus, each a product of numbers and of what `FACTORS` names @throws UserError for anything else */
export function fakeModel(formula: string): FakeModel {
  const right = formula.replace(/^[^=]*=/, '').replaceAll(/\s+/g, '');
  // A sign begins a term, except in an exponent.
  const terms = right.split(/(?<!^)(?<![\de]e)(?=[-+])/i).filter((term) => term !== '');
  const parts = terms.map((term) => {
    const sign = term.startsWith('-') ? -1 : 1;
    const factors = term
      .replace(/^[-+]/, '')
      .split('*')
      .map((factor): FakeModel => {
        const value = Number(factor);
        if (NUMBER.test(factor)) return () => value;
        const known = FACTORS[factor];
        if (!known)
          throw new UserError(
            `meta.fake_model: "${formula}" has the factor "${factor}"; known are numbers and ${Object.keys(FACTORS).join(', ')}`,
          );
        return known;
      });
    return (x: number, t: number): number => factors.reduce((product, f) => product * f(x, t), sign);
  });
  if (parts.length === 0) throw new UserError(`meta.fake_model: "${formula}" has no term`);
  return (x, t) => parts.reduce((sum, part) => sum + part(x, t), 0);
}
