/** Reads one work dir, again and again while its run goes on. */
import { stat } from 'node:fs/promises';
import { basename, isAbsolute, join, normalize } from 'node:path';
import { ownerOf } from '../engine/work-dir.js';
import { Smoothed } from '../engine/smoothed.js';
import { isTree, type Tree } from '../registry/merge.js';
import { Curves } from './curves.js';
import { drawingDefaults } from './drawing-defaults.js';
import {
  bestEvaluation,
  EVALUATION_FILE,
  evaluationsOf,
  readEvaluation,
  type RunEvaluation,
} from './evaluation-file.js';
import { JsonLines, lastRows, type Row } from './json-lines.js';
import { logFiles, readLog, startOfLog } from './log-text.js';
import { RunPictures } from './pictures.js';
import { runCheckpoints } from './run-checkpoints.js';
import type { Checkpoint, Preview, RunEnvironment, RunState, RunSummary, RunView, Scalars } from './run-view.js';
import { ConfigFile, hookOf, readEnvironment, readPhases } from './work-dir-files.js';

/** Bytes at the end of a log that a summary is made from: of some hundred iterations, all that the smoothed loss hangs on. */
const TAIL = 1 << 16;

/** What summary and view share. */
interface Facts {
  readonly config: { readonly text: string; readonly tree: Tree };
  readonly environment: RunEnvironment | undefined;
  readonly evaluation: RunEvaluation | undefined;
  readonly checkpoints: readonly Checkpoint[];
  readonly previews: readonly Preview[];
  readonly iterations: number;
  /** smoothed */
  readonly loss: number | undefined;
}

export class RunReader {
  private readonly config: ConfigFile;
  private readonly pictures: RunPictures;
  private curves: { readonly paths: string; read(): Promise<(from: number) => Scalars> } | undefined;

  /** @param path of the work dir @param id what the list calls it */
  constructor(
    readonly path: string,
    private readonly id: string = basename(path),
  ) {
    this.config = new ConfigFile(join(path, 'config.yaml'));
    this.pictures = new RunPictures(path);
  }

  async summary(): Promise<RunSummary> {
    return this.summarise(await this.facts());
  }

  async view(): Promise<RunView> {
    const facts = await this.facts(),
      { config, environment, evaluation, checkpoints, previews } = facts;
    const { save_best: metric, rule } = hookOf(config.tree, 'CheckpointHook') ?? {};
    return {
      ...(await this.summarise(facts)),
      config: config.text,
      phases: await readPhases(this.path),
      evaluations: evaluationsOf(evaluation, facts.iterations - 1),
      best:
        typeof metric === 'string'
          ? bestEvaluation(evaluation, metric, rule as 'greater' | 'less' | undefined)
          : undefined,
      previews,
      trainingPictures: await this.pictures.training(),
      checkpoints,
      environment,
      drawing: await drawingDefaults(config.tree, this.path, checkpoints),
    };
  }

  /** @param from 0-based iteration @returns the curves from there on */
  async scalars(from = 0): Promise<Scalars> {
    const { tree } = await this.config.read(),
      names = [logName(tree), visName(tree)],
      paths = names.join('\n');
    if (this.curves?.paths !== paths) this.curves = { paths, read: curvesOf(this.path, names) };
    return (await this.curves.read())(from);
  }

  /** Lines of its log. @param from as in `readLog` */
  log(from = 0): Promise<{ text: string; next: number }> {
    return readLog(this.path, from);
  }

  private async facts(): Promise<Facts> {
    const config = await this.config.read();
    const [environment, evaluation, checkpoints, previews, rows] = await Promise.all([
      readEnvironment(this.path),
      readEvaluation(join(this.path, EVALUATION_FILE)).catch(() => undefined), // damaged
      runCheckpoints(this.path),
      this.pictures.previews(config.tree),
      lastRows(join(this.path, logName(config.tree)), TAIL),
    ]);
    const iterations = Number(rows.at(-1)?.['iter'] ?? -1) + 1;
    return { config, environment, evaluation, checkpoints, previews, iterations, loss: smoothedLoss(rows) };
  }

  private async summarise(facts: Facts): Promise<RunSummary> {
    const { config, environment, evaluation, previews, iterations, loss } = facts,
      logs = await logFiles(this.path);
    const maxIters = maxItersOf(config.tree);
    return {
      id: this.id,
      name: basename(this.path),
      state: await this.state(facts, maxIters),
      iterations,
      maxIters,
      started: environment?.started ?? (logs.length > 0 ? startOfLog(logs[logs.length - 1]) : undefined),
      changed: await this.changed(logs),
      loss,
      scores: evaluationsOf(evaluation, iterations - 1).at(-1)?.scores ?? [],
      thumbnail: previews.at(-1)?.pictures[0]?.src,
    };
  }

  private async state({ environment, checkpoints, iterations }: Facts, maxIters = Infinity): Promise<RunState> {
    if (await ownerOf(this.path)) return 'running';
    const how = environment?.end?.how;
    if (how === 'done' || (how !== 'failed' && iterations >= maxIters)) return 'done';
    return how === 'stopped' || checkpoints.some(({ isLast }) => isLast) ? 'stopped' : 'failed';
  }

  private async changed(logs: readonly string[]): Promise<number> {
    const { tree } = await this.config.read(),
      names = ['.', logName(tree), ...logs.slice(-1)];
    const times = await Promise.all(
      names.map((name) =>
        stat(join(this.path, name)).then(
          ({ mtimeMs }) => mtimeMs / 1000,
          () => 0,
        ),
      ),
    );
    return Math.max(...times);
  }
}

/** Reads the rest of both files, then answers from memory. What LoggerHook wrote is over what a backend repeats of it. */
function curvesOf(workDir: string, [log, vis]: readonly string[]): () => Promise<(from: number) => Scalars> {
  const own = new Curves('iter', true),
    shown = new Curves('step', false);
  const files = [new JsonLines(join(workDir, log), own), new JsonLines(join(workDir, vis), shown)];
  return async () => {
    for (const file of files) await file.read();
    return (from) => ({ ...shown.since(from), ...own.since(from) });
  };
}

/** LoggerHook's file in the work dir. */
export function logName(config: Tree): string {
  const name = hookOf(config, 'LoggerHook')?.['jsonl'];
  return isInside(name) ? name : 'log.jsonl';
}

/** LocalVisBackend's file in the work dir. */
export function visName(config: Tree): string {
  const { visualizer } = config,
    backends = isTree(visualizer) ? [visualizer['vis_backends']].flat().filter(isTree) : [],
    folder = backends.find(({ type }) => type === 'LocalVisBackend')?.['save_dir'];
  return join(isInside(folder) ? folder : 'vis_data', 'scalars.json');
}

/** A work dir may come from somebody else: its config leads to no file outside of it. */
const isInside = (name: unknown): name is string =>
  typeof name === 'string' && !isAbsolute(name) && !normalize(name).startsWith('..');

function smoothedLoss(rows: readonly Row[]): number | undefined {
  const mean = new Smoothed(),
    losses = rows.map(({ loss }) => loss).filter((loss) => typeof loss === 'number');
  return losses.map((loss) => mean.add(loss)).at(-1);
}

function maxItersOf({ train_cfg: loop }: Tree): number | undefined {
  const value = isTree(loop) ? loop['max_iters'] : undefined;
  return typeof value === 'number' ? value : undefined;
}
