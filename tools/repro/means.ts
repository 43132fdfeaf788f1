/** DreamBooth over all subjects, as in BK-SDM's table of personalised generation: one row per model. */
import { studentHalfWidth } from '../../src/evaluation/metrics/interval.js';
import { mean } from '../../src/evaluation/metrics/vectors.js';
import type { Done, Measured, Result, Trained } from './result.js';
import type { Row } from './row.js';
import { MODEL_NAMES, SUBJECT_NAMES } from './rows/dreambooth.js';

/** Rows whose every number is the mean over the subjects; those that are not made for all subjects yet are left out. */
export function meansOverSubjects(results: readonly Result[]): Result[] {
  const kinds = ['ideal', ...MODEL_NAMES.flatMap((model) => [`untuned_${model}`, `dreambooth_${model}`])];
  return kinds.flatMap((kind) => {
    const of = SUBJECT_NAMES.flatMap((subject) => results.filter(({ row }) => row.id === `${kind}_${subject}`));
    if (of.length < SUBJECT_NAMES.length) return [];
    return [{ row: rowOf(`${kind}_mean`, of[0].row.title.replace(`, ${SUBJECT_NAMES[0]}`, '')), done: meanDone(of) }];
  });
}

/** Nothing runs for it. */
const rowOf = (id: string, title: string): Row => ({ id, title, table: 'dreambooth', stages: [] });

/** Of each training, so that intervals over trainings are those of the means. */
const meanDone = (subjects: readonly Result[]): Done[] =>
  subjects[0].done.map((first, i) => {
    const done = subjects.map((subject) => subject.done[i]),
      all = <T>(values: readonly (T | undefined)[]): readonly T[] | undefined =>
        values.every((value) => value !== undefined) ? values : undefined;
    const prior = all(done.map(({ prior }) => prior)),
      training = all(done.map(({ training }) => training));
    return {
      marker: first.marker,
      evaluation: meanMeasured(done.map(({ evaluation }) => evaluation)),
      ...(prior ? { prior: meanMeasured(prior) } : {}),
      ...(training ? { training: meanTraining(training) } : {}),
    };
  });

function meanMeasured(subjects: readonly Measured[]): Measured {
  const scores = subjects[0].scores.flatMap((score) => {
    const same = subjects.flatMap(({ scores }) => scores.filter(({ name }) => name === score.name));
    if (same.length < subjects.length) return [];
    const perSeed = score.per_seed.map((_, seed) => mean(same.map(({ per_seed }) => per_seed[seed])));
    return [
      {
        ...score,
        value: mean(same.map(({ value }) => value)),
        half_width_95: studentHalfWidth(perSeed) ?? null,
        per_seed: perSeed,
      },
    ];
  });
  return { ...subjects[0], scores };
}

const meanTraining = (subjects: readonly Trained[]): Trained => ({
  parameters: subjects[0].parameters,
  secondsPerStep: mean(subjects.map(({ secondsPerStep }) => secondsPerStep)),
  memory: Math.max(...subjects.map(({ memory }) => memory)),
});
