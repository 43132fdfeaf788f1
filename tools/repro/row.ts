/** What the reproduction runs: rows of docs/results.md, each of one or several trainings. */

/** One training and its evaluations, or an evaluation alone. */
export interface Stage {
  readonly id: string;
  /** arguments of diffengine, one list per command */
  readonly commands: readonly (readonly string[])[];
  /** the file that says that it is done, and what came out */
  readonly record: string;
}

/** Where a row stands on the page. */
export type Table =
  'weights' | 'sizes' | 'latency' | 'recovery' | 'distillation' | 'pairs' | 'dreambooth' | 'lora' | 'kinds' | 'search';

export interface Row {
  readonly id: string;
  /** what the row is called */
  readonly title: string;
  readonly table: Table;
  /** equal but for their seeds; one for what is not trained */
  readonly stages: readonly Stage[];
}

const ROOT = 'work_dirs/repro';
export const dirOf = (id: string): string => `${ROOT}/${id}`;
/** The work dir of a stage's training. */
export const runOf = (id: string): string => `${dirOf(id)}/run`;
/** Where the evaluation of a stage is. */
export const evaluationOf = (id: string): string => `${dirOf(id)}/eval`;
/** Where pictures of the class alone are evaluated. */
export const priorOf = (id: string): string => `${dirOf(id)}/prior`;
/** What is kept of every stage, in the repository: work dirs are large, and the hours behind the page are many. */
export const RECORDS = 'docs/results/runs';
/** Weights are no results: when their work dirs are gone, they are to be made again. */
const recordOf = (id: string, table: Table): string =>
  table === 'weights' ? `${dirOf(id)}/done.json` : `${RECORDS}/${id}.json`;

/** Trainings of a row: intervals are over them. */
export const TRAINING_SEEDS = [0, 1, 2] as const;

const stageOf = (id: string, table: Table, commands: Stage['commands']): Stage => ({
  id,
  commands,
  record: recordOf(id, table),
});

/** A row without training. */
export const single = (id: string, title: string, table: Table, commands: Stage['commands']): Row => ({
  id,
  title,
  table,
  stages: [stageOf(id, table, commands)],
});

/** A row of one training per seed. @param commands of one of them */
export const trained = (
  id: string,
  title: string,
  table: Table,
  commands: (id: string, seed: number) => Stage['commands'],
  seeds: readonly number[] = TRAINING_SEEDS,
): Row => ({
  id,
  title,
  table,
  stages: seeds.map((seed) => stageOf(`${id}_${seed}`, table, commands(`${id}_${seed}`, seed))),
});

/** Of a dataset of drawings, as part of a command. */
export const PIPELINE =
  'pipeline: [{ type: ToTensor }, { type: Normalize, mean: [0.5], std: [0.5] }, { type: PackInputs }]';
