/** What the finished trainings of a row left. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lastCheckpoint } from '../../src/engine/checkpoint.js';
import type { Evaluation } from '../../src/evaluation/evaluation-run.js';
import { studentHalfWidth } from '../../src/evaluation/metrics/interval.js';
import { mean } from '../../src/evaluation/metrics/vectors.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { sizeOf } from '../../src/tensor/host.js';
import { evaluationOf, priorOf, runOf, type Row, type Stage } from './row.js';

/** How and when a stage was run. */
export interface Marker {
  readonly commands: readonly string[];
  /** wall time of the try that ended */
  readonly seconds: number;
  /** the last one that changed what runs */
  readonly commit: string;
  readonly machine: string;
  readonly finished: string;
}

export interface Trained {
  /** of the adapter; 0 for runs that train a whole network */
  readonly parameters: number;
  /** of one iteration, from the run's own clock */
  readonly secondsPerStep: number;
  /** of the process at its largest, GiB; 0 where the run has no LocalVisBackend */
  readonly memory: number;
}

/** Of an evaluation, without what the commands say already. */
export type Measured = Pick<Evaluation, 'scores' | 'seeds' | 'cost' | 'latency'>;

/** The record of a stage that is done. */
export interface Done {
  readonly marker: Marker;
  readonly evaluation: Measured;
  /** of pictures of the class alone */
  readonly prior?: Measured;
  readonly training?: Trained;
}

export interface Result {
  readonly row: Row;
  /** one per training */
  readonly done: readonly Done[];
}

const json = async <T>(file: string): Promise<T> => JSON.parse(await readFile(file, 'utf8')) as T;

/** What a stage that just ended is remembered by. */
export async function outcomeOf({ id }: Stage, marker: Marker): Promise<Done | { readonly marker: Marker }> {
  if (!existsSync(evaluationOf(id))) return { marker }; // weights
  return {
    marker,
    evaluation: await measured(evaluationOf(id)),
    ...(existsSync(priorOf(id)) ? { prior: await measured(priorOf(id)) } : {}),
    ...(existsSync(runOf(id)) ? { training: await readTraining(runOf(id)) } : {}),
  };
}

async function measured(folder: string): Promise<Measured> {
  const { scores, seeds, cost, latency } = await json<Evaluation>(join(folder, 'eval.json'));
  return { scores, seeds, cost, latency };
}

/** @returns undefined until every training of the row has ended */
export async function readResult(row: Row): Promise<Result | undefined> {
  if (!row.stages.every(({ record }) => existsSync(record))) return undefined;
  return { row, done: await Promise.all(row.stages.map(({ record }) => json<Done>(record))) };
}

async function readTraining(run: string): Promise<Trained> {
  const checkpoint = await lastCheckpoint(run);
  if (checkpoint === undefined) throw new Error(`${run}: its stage is done, and it has no checkpoint`);
  let parameters = 0;
  for (const part of ['unet', 'text_encoder']) {
    const file = join(checkpoint, part, 'adapter_model.safetensors');
    if (existsSync(file))
      for (const { shape } of (await openSafetensors(file)).entries.values()) parameters += sizeOf(shape);
  }
  const { iteration } = await json<{ iteration: number }>(join(checkpoint, 'run.json'));
  const phases = await json<Record<string, number>>(join(run, 'phases.json'));
  return { parameters, secondsPerStep: phases['steps'] / (iteration + 1), memory: await largestMemory(run) };
}

async function largestMemory(run: string): Promise<number> {
  const file = join(run, 'vis_data', 'scalars.json');
  if (!existsSync(file)) return 0;
  const rows = (await readFile(file, 'utf8')).trim().split('\n');
  return Math.max(0, ...rows.map((row) => (JSON.parse(row) as Record<string, number>)['memory/rss_gib'] ?? 0));
}

/** A score of a row, and the half of its 95 % interval: over trainings where there are several, else over pictures. */
export interface Value {
  readonly value: number;
  readonly half: number | undefined;
}

/** @param of the evaluation that is meant @returns undefined where a training has no such score */
export function valueOf(
  { done }: Result,
  name: string,
  of: (one: Done) => Measured | undefined = ({ evaluation }) => evaluation,
): Value | undefined {
  const scores = done.map((one) => of(one)?.scores.find((score) => score.name === name));
  const values = scores.flatMap((score) => (score ? [score.value] : []));
  if (values.length < done.length || values.length === 0) return undefined;
  return {
    value: mean(values),
    half: values.length > 1 ? studentHalfWidth(values) : (scores[0]?.half_width_95 ?? undefined),
  };
}

/** "0.612 ± 0.014", with two digits of the interval. */
export function withInterval(score: Value | undefined): string {
  if (!score) return '';
  const { value, half } = score,
    digits = Math.max(
      0,
      Math.min(6, 1 - Math.floor(Math.log10(half === undefined || half === 0 ? Math.abs(value) / 100 || 1 : half))),
    );
  return `${value.toFixed(digits)}${half === undefined ? '' : ` ± ${half.toFixed(digits)}`}`;
}

/** "92.5 ± 1.3 %" of a share. */
export function percent(score: Value | undefined): string {
  if (!score) return '';
  const { value, half } = score;
  return `${(100 * value).toFixed(1)}${half === undefined ? '' : ` ± ${(100 * half).toFixed(1)}`} %`;
}

/** The 95 % interval of a score; undefined when it has none. */
export function boundsOf(result: Result, name: string): readonly [number, number] | undefined {
  const score = valueOf(result, name);
  return score?.half === undefined ? undefined : [score.value - score.half, score.value + score.half];
}
