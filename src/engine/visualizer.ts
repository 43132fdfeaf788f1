/** Hands what a run tells to visualisation backends, in order. It is a hook that hears the run's events. */
import { readFile } from 'node:fs/promises';
import type { Logger } from '../base/logger.js';
import { dumpConfig } from '../registry/dump.js';
import type { Tree } from '../registry/merge.js';
import { pngSize } from '../datasets/image/png-size.js';
import { Hook } from './hook.js';
import type { EvaluationEvent, IterEvent, PicturesEvent, TrainEvent } from './run-events.js';
import type { RunState } from './run-state.js';
import { Smoothed } from './smoothed.js';
import type { VisBackend, VisImage } from './vis-backend.js';

export class Visualizer extends Hook {
  /** After all hooks that make something to see. */
  override readonly priority = 'LOWEST';
  private readonly waiting: (() => Promise<void>)[] = [];
  private open: VisBackend[] = [];
  private readonly loss = new Smoothed();
  private stepStart = 0;
  private finished = false;
  /** 0-based iteration */
  private phasesAt = -1;

  constructor(
    private readonly backends: readonly VisBackend[],
    private readonly log: Logger,
  ) {
    super();
  }

  /** Called while the run goes on; what is heard is handed on at the next point. */
  hear(event: TrainEvent): void {
    const wallTime = Date.now() / 1000;
    if (event.kind === 'iter') this.hearIteration(event, wallTime);
    else if (event.kind === 'pictures') this.hearPictures(event, wallTime);
    else if (event.kind === 'evaluation') this.hearScores(event, wallTime);
  }

  override async beforeTrain(run: RunState): Promise<void> {
    const config = dumpConfig(run.config as Tree);
    for (const loss of run.iter > 0 ? await earlierLosses(run) : []) this.loss.add(loss);
    for (const backend of this.backends) {
      await backend.open({ workDir: run.workDir, config, iter: run.iter });
      this.open.push(backend);
    }
    if (run.iter === 0) await this.each((backend) => backend.addText('config', config, 0, Date.now() / 1000));
    await this.handOn();
  }

  override async beforeTrainIter(): Promise<void> {
    this.stepStart = performance.now();
  }

  override afterTrainIter(): Promise<void> {
    return this.handOn();
  }

  override async beforeSaveCheckpoint(run: RunState): Promise<void> {
    await this.handOn();
    if (!run.isLast) await this.tellPhases(run);
    await this.each((backend) => backend.flush());
  }

  override async afterTrain(run: RunState): Promise<void> {
    this.finished = true;
    await this.handOn();
    await this.tellPhases(run);
  }

  override async afterRun(): Promise<void> {
    await this.handOn();
    await this.each((backend) => backend.close(this.finished));
  }

  private hearIteration({ iter, logs }: IterEvent, wallTime: number): void {
    const scalars = {
      ...Object.fromEntries(Object.entries(logs).map(([name, value]) => [`train/${name}`, value])),
      'train/loss_smooth': this.loss.add(logs['loss']),
      'time/iter_s': (performance.now() - this.stepStart) / 1000, // the step alone, without what hooks do
      'memory/rss_gib': process.memoryUsage.rss() / 2 ** 30,
    };
    this.waiting.push(() => this.each((backend) => backend.addScalars(scalars, iter, wallTime)));
  }

  private hearPictures({ iter, paths, prompts }: PicturesEvent, wallTime: number): void {
    this.waiting.push(async () => {
      for (const [k, path] of paths.entries()) {
        const png = await readFile(path),
          image: VisImage = { name: `preview/${k}`, ...pngSize(png), png, caption: prompts[k] };
        await this.each((backend) => backend.addImage(image, iter, wallTime));
      }
    });
  }

  private hearScores({ iter, scores }: EvaluationEvent, wallTime: number): void {
    const named = scores.flatMap(({ name, value, halfWidth }) => [
      [`evaluation/${name}`, value],
      ...(halfWidth === undefined ? [] : [[`evaluation/${name}_halfwidth`, halfWidth]]),
    ]);
    const scalars = Object.fromEntries(named) as Record<string, number>;
    this.waiting.push(() => this.each((backend) => backend.addScalars(scalars, iter, wallTime)));
  }

  /** Where this process spent its time so far: at checkpoints and at the end, where they are last. */
  private async tellPhases({ phases, iter }: RunState): Promise<void> {
    if (iter === this.phasesAt) return;
    this.phasesAt = iter;
    const seconds = Object.fromEntries(Object.entries(phases).map(([name, value]) => [`phase/${name}`, value]));
    await this.each((backend) => backend.addScalars(seconds, iter, Date.now() / 1000));
  }

  private async handOn(): Promise<void> {
    if (this.open.length === 0) return; // before the run began, or after a backend could not be opened
    for (const work of this.waiting.splice(0)) await work();
  }

  /** A backend that fails is left out from then on: what is trained is worth more than its curve. */
  private async each(work: (backend: VisBackend) => Promise<void>): Promise<void> {
    for (const backend of this.open)
      await work(backend).catch((error: Error) => {
        this.open = this.open.filter((other) => other !== backend);
        this.log.warn(`${backend.constructor.name}: ${error.message}; it gets nothing more of this run`);
      });
  }
}

/** Of the iterations before this process, where LoggerHook has kept them. */
async function earlierLosses(run: RunState): Promise<number[]> {
  const text = await readFile(run.workDir.file('log.jsonl'), 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => {
    const [, iter, loss] = /^\{"iter":(\d+),.*"loss":([-\d.e+]+)/.exec(line) ?? [];
    return iter !== undefined && Number(iter) < run.iter ? [Number(loss)] : [];
  });
}
