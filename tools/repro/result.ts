/** What a finished stage of the reproduction left. */
import type { Evaluation } from '../../src/evaluation/evaluation-run.js';
import type { Stage } from './stages.js';

/** `done.json` of a stage. */
export interface Marker {
  readonly commands: readonly string[];
  /** wall time of the try that ended */
  readonly seconds: number;
  readonly commit: string;
  readonly machine: string;
  readonly finished: string;
}

export interface Result {
  readonly stage: Stage;
  readonly marker: Marker;
  readonly evaluation: Evaluation;
}

export const valueOf = ({ evaluation }: Result, name: string): Evaluation['scores'][number] | undefined =>
  evaluation.scores.find((score) => score.name === name);

/** "0.612 ± 0.014", with two digits of the interval. */
export function withInterval(result: Result, name: string): string {
  const score = valueOf(result, name);
  if (!score) return '';
  const half = score.half_width_95,
    digits = Math.max(
      0,
      Math.min(6, 1 - Math.floor(Math.log10(half === null || half === 0 ? Math.abs(score.value) / 100 || 1 : half))),
    );
  return `${score.value.toFixed(digits)}${half === null ? '' : ` ± ${half.toFixed(digits)}`}`;
}

/** The 95 % interval of a score; undefined when it has none. */
export function boundsOf(result: Result, name: string): readonly [number, number] | undefined {
  const score = valueOf(result, name);
  return score?.half_width_95 == null
    ? undefined
    : [score.value - score.half_width_95, score.value + score.half_width_95];
}
