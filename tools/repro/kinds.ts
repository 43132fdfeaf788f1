/** The section of docs/results.md that compares kinds of adapter, over several trainings of each. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lastCheckpoint } from '../../src/engine/checkpoint.js';
import { studentHalfWidth } from '../../src/evaluation/metrics/interval.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { sizeOf } from '../../src/tensor/host.js';
import type { Evaluation } from '../../src/evaluation/evaluation-run.js';
import type { Marker } from './result.js';
import { evaluationOf, KIND_SEEDS, KINDS, kindStage, markerOf, runOf, type KindName } from './stages.js';

export const KINDS_TITLE = 'Kinds of adapter: the dog on the small student, three trainings each';

interface Trained {
  readonly parameters: number;
  /** of one iteration, from the run's own clock */
  readonly secondsPerStep: number;
  readonly scores: Readonly<Record<'CLIP-I' | 'CLIP-T', number>>;
  readonly machine: string;
  readonly commit: string;
}

/** @returns the section without its heading; undefined until every stage of it is done */
export async function kindsSection(): Promise<string | undefined> {
  const rows: string[] = [];
  const made = new Set<string>();
  for (const kind of Object.keys(KINDS) as KindName[]) {
    const runs: Trained[] = [];
    for (const seed of KIND_SEEDS) {
      const stage = kindStage(kind, seed);
      if (!existsSync(markerOf(stage))) return undefined;
      runs.push(await trained(kind, seed));
    }
    for (const { commit, machine } of runs) made.add(`commit ${commit}, ${machine}`);
    const times = runs.map(({ secondsPerStep }) => 1000 * secondsPerStep).sort((a, b) => a - b);
    rows.push(
      `| ${[
        KINDS[kind].title,
        runs[0].parameters.toLocaleString('en-US'),
        `${times[1].toFixed(0)} ms (${times[0].toFixed(0)} to ${times[2].toFixed(0)})`,
        interval(runs.map(({ scores }) => scores['CLIP-I'])),
        interval(runs.map(({ scores }) => scores['CLIP-T'])),
      ].join(' | ')} |`,
    );
  }
  return [
    '`toyland_small_sd_dreambooth_lora_dog` (200 iterations instead of 350, batch 4, learning rate 0.002) with each kind on the U-Net and the text encoder. ' +
      '±: half of the 95 % interval over three trainings (Student t), each measured over 84 pictures. ' +
      'Time of an iteration: median, smallest and largest of the three runs. ' +
      'The settings of the other kinds were not searched: LoRA had a search of nine, so this table says what each kind does at these settings, not which is best.',
    [
      '| adapter | trained parameters | time per iteration | CLIP-I ↑ | CLIP-T ↑ |',
      '| --- | --- | --- | --- | --- |',
      ...rows,
    ].join('\n'),
    `True drawings of the dog score 0.536 and 0.462. Made by \`npm run repro -- --only kinds\`, ${[...made].join('; ')}.`,
  ].join('\n\n');
}

async function trained(kind: KindName, seed: number): Promise<Trained> {
  const stage = kindStage(kind, seed);
  const run = runOf(stage.id);
  const json = async <T>(file: string): Promise<T> => JSON.parse(await readFile(file, 'utf8')) as T;
  const { scores } = await json<Evaluation>(join(evaluationOf(stage) as string, 'eval.json'));
  const checkpoint = (await lastCheckpoint(run)) as string;
  let parameters = 0;
  for (const part of ['unet', 'text_encoder']) {
    const { entries } = await openSafetensors(join(checkpoint, part, 'adapter_model.safetensors'));
    for (const { shape } of entries.values()) parameters += sizeOf(shape);
  }
  const { iteration } = await json<{ iteration: number }>(join(checkpoint, 'run.json'));
  const phases = await json<Record<string, number>>(join(run, 'phases.json'));
  const { machine, commit } = await json<Marker>(markerOf(stage));
  const value = (name: string): number => scores.find((score) => score.name === name)?.value ?? NaN;
  return {
    parameters,
    secondsPerStep: phases['steps'] / (iteration + 1),
    scores: { 'CLIP-I': value('CLIP-I'), 'CLIP-T': value('CLIP-T') },
    machine,
    commit,
  };
}

function interval(values: readonly number[]): string {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return `${mean.toFixed(3)} ± ${(studentHalfWidth(values) ?? NaN).toFixed(3)}`;
}
