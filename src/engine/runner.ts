/** One training run from its built parts: prepares, restores, trains, cleans up. */
import { randomUUID } from 'node:crypto';
import { Executor } from '../backends/executor.js';
import { Interrupted, UserError } from '../base/errors.js';
import { ALONE, firstOfHost, type Collectives } from '../collectives/collectives.js';
import type { Hook } from './hook.js';
import {
  checkpointsIn,
  configHash,
  bestCheckpoint,
  forgetPointers,
  lastCheckpoint,
  openCheckpoint,
  requireOwnFolders,
  saveCheckpoint,
  type Checkpoint,
  type RunRecord,
} from './checkpoint.js';
import { checkAllDrawings } from './check-all-drawings.js';
import { classImageFingerprint, classImageGenerator } from './class-image-generator.js';
import { changedOptions } from './config-changes.js';
import { requireSameData, requireSameModel } from './same-ranks.js';
import { drawTogether } from './draw-together.js';
import { receiveCheckpoint, sendCheckpoint } from './share-checkpoint.js';
import { keepEncodings } from './keep-encodings.js';
import { learningRate } from './lr_schedules/lr-schedule.js';
import { Parameters, purposeOf } from './parameters.js';
import { watchPhases } from './phase-watch.js';
import { Phases, timed, timedRanks } from './phases.js';
import { RunHooks } from './run-hooks.js';
import type { Evaluation, RunState } from './run-state.js';
import { trainLoop, type Trained } from './train-loop.js';
import type { RunParts } from './run-parts.js';
import { TrainStep } from './train-step.js';
import { packageVersion } from '../base/version.js';

/** true: the last checkpoint of the work dir; a path: that one; undefined: a new run */
export type Resume = true | string | undefined;

/** What a finished run leaves. Paths are absolute. */
export interface TrainResult {
  readonly workDir: string;
  /** last iteration, 0-based */
  readonly iteration: number;
  /** folder of the checkpoint of that iteration, when there is one */
  readonly checkpoint: string | undefined;
  /** folder of the checkpoint that measured best; undefined without CheckpointHook's `save_best` */
  readonly best: string | undefined;
}

export class Runner {
  /** Where the time went: open, prepare data (class pictures), data, encode, compile, steps, and each hook by its class. */
  readonly phases = new Phases();
  private readonly parts: RunParts & { readonly ranks: Collectives };
  private readonly hooks: RunHooks;
  private stopReason: string | undefined;
  private saved: { iter: number; folder: string } | undefined;
  private readonly trained: Trained = { iter: -1 };
  private readonly evaluations: Evaluation[] = [];
  private runId: string = randomUUID();

  /** @param foretell says what the run will cost, before anything is made; given the iterations that are done */
  constructor(
    parts: RunParts,
    private readonly foretell?: (done: number) => Promise<void>,
  ) {
    const ranks = timedRanks(parts.ranks ?? ALONE, this.phases);
    this.parts = { ...parts, ranks, backend: timed(parts.backend, this.phases) };
    const hooks = parts.hooks.filter((hook) => hook.ranks === 'all' || ranks.rank === 0);
    this.hooks = new RunHooks(hooks, this.phases);
  }

  /**
   * Runs to the end, or until the signal is aborted.
   * @throws Interrupted after the signal; UserError for what the user can mend
   */
  async train(resume?: Resume): Promise<TrainResult> {
    const unwatch = watchPhases(this.phases, this.parts.log);
    return this.run(resume).finally(unwatch);
  }

  private async run(resume: Resume): Promise<TrainResult> {
    const { model, backend, log, maxIters, workDir, ranks } = this.parts;
    await requireOwnFolders(workDir);
    const checkpoint = await this.checkpointToResume(resume);
    if (checkpoint && checkpoint.record.iteration + 1 >= maxIters) {
      log.info(
        `already trained to iteration ${checkpoint.record.iteration}, train_cfg.max_iters is ${maxIters}; nothing to do`,
      );
      return this.result(checkpoint.record.iteration, checkpoint.folder);
    }
    const { foretell } = this,
      done = checkpoint ? checkpoint.record.iteration + 1 : 0;
    if (foretell) await this.phases.measure('estimate', () => foretell(done));
    await this.phases.measure('open', () =>
      firstOfHost(ranks, async () => {
        await checkAllDrawings(this.parts);
        await model.load();
      }),
    );
    await requireSameModel(ranks, model.fingerprint);
    if (checkpoint) this.checkBase(checkpoint);
    const parameters = new Parameters(model.parameters());
    model.executor = new Executor(backend, (outputs, weights) => parameters.bind(outputs, purposeOf(weights)));
    keepEncodings(this.parts);
    await this.phases.measure('prepare data', () => this.prepareDataset());
    await requireSameData(ranks, this.parts.loader.dataset);
    const step = new TrainStep({ ...this.parts, parameters });
    await this.phases.measure('open', async () => step.init(await model.initialValues(this.parts.rng)));
    const run = this.state(parameters, [...step.stateNames]);
    const cleanUp = async (): Promise<void> => {
      this.parts.loader.close();
      await this.hooks.afterRun(run);
      await step.dispose();
      await model.executor.dispose();
    };
    try {
      await this.hooks.call('beforeRun', run);
      if (model.needsAverage && run.weights !== 'ema')
        throw new UserError(
          "custom_hooks: this model learns from the moving average of its weights, and no hook keeps one; add ema: { type: 'EMAHook', momentum: 4e-3 }",
          { code: 'CONFIG_INVALID' },
        );
      if (checkpoint) await this.restore(run, checkpoint);
      else await this.startAfresh();
      this.banner(parameters);
      this.announce(run, parameters, checkpoint);
      await trainLoop(run, {
        ...this.parts,
        step,
        hooks: this.hooks,
        phases: this.phases,
        lr: (i) => this.lr(i),
        stopped: () => this.stopReason !== undefined,
        trained: this.trained,
      });
      if (this.stopReason !== undefined) log.info(`stopped after iteration ${run.iter}: ${this.stopReason}`);
    } catch (error) {
      await this.rescue(run);
      await cleanUp().catch((second: Error) => log.debug(`while cleaning up after an error: ${second.stack}`));
      throw error;
    }
    await cleanUp();
    return this.result(run.iter, this.saved?.iter === run.iter ? this.saved.folder : undefined);
  }

  private async result(iteration: number, checkpoint: string | undefined): Promise<TrainResult> {
    const { path } = this.parts.workDir;
    return { workDir: path, iteration, checkpoint, best: await bestCheckpoint(path) };
  }

  private async checkpointToResume(resume: Resume): Promise<Checkpoint | undefined> {
    const { workDir, log, ranks } = this.parts;
    if (resume === undefined) return undefined;
    if (ranks.rank > 0) return receiveCheckpoint(ranks);
    const path = resume === true ? await lastCheckpoint(workDir.path) : resume;
    if (path === undefined) log.info(`nothing to resume in ${workDir.path}: starting from the beginning`);
    return sendCheckpoint(ranks, path === undefined ? undefined : await openCheckpoint(path));
  }

  private checkBase({ folder, record }: Checkpoint): void {
    const { fingerprint } = this.parts.model;
    if (record.model_fingerprint === fingerprint) return;
    throw new UserError(
      `${folder}: trained on another base model (${record.model_fingerprint}, this one is ${fingerprint}); set model.model as it was, or start a new run with another --work-dir`,
      { code: 'MODEL_MISMATCH' },
    );
  }

  private async prepareDataset(): Promise<void> {
    const { model, loader, log, rng, signal, datasetServices, otherModel, backend, ranks } = this.parts;
    try {
      await loader.dataset.prepare?.({
        ...datasetServices,
        logger: log,
        seed: rng.seed,
        signal,
        ranks,
        modelFingerprint: classImageFingerprint({ model, otherModel }),
        generateClassImages: classImageGenerator({ model, otherModel, backend, signal, ranks }),
      });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    if (signal.aborted)
      throw new Interrupted(
        'stopped before the first iteration; the same command starts again, with what is in the cache',
      );
  }

  private async restore(run: RunState, { folder, record, restore }: Checkpoint): Promise<void> {
    const { backend, config, rng, log, ranks } = this.parts;
    await restore(backend.states, run.stateNames, config);
    this.runId = record.run_id;
    this.evaluations.push(...(record.evaluations ?? []));
    run.iter = record.iteration + 1;
    this.trained.iter = record.iteration;
    this.saved = { iter: record.iteration, folder };
    const changes = [
      ...(record.seed === rng.seed ? [] : [`randomness.seed: ${record.seed} -> ${rng.seed}`]),
      ...(record.ranks === ranks.size ? [] : [`number of ranks (--gpus): ${record.ranks ?? 1} -> ${ranks.size}`]),
      ...changedOptions(record.config, config),
    ];
    if (changes.length > 0)
      log.warn(
        `the run changed since ${folder}, so it will not equal an uninterrupted one:\n  ${changes.join('\n  ')}`,
      );
    const equal =
      changes.length === 0 && ranks.size > 1 ? `, with ${ranks.size} ranks as before: it goes on bit for bit` : '';
    log.info(`resumed from ${folder}, next iteration ${run.iter}${equal}`);
    await this.hooks.call('afterLoadCheckpoint', run);
  }

  private async startAfresh(): Promise<void> {
    const { workDir, log } = this.parts;
    const old = await checkpointsIn(workDir.path);
    if (old.length > 0)
      log.warn(
        `${workDir.path} holds checkpoints of an earlier run (${old.map((i) => `step${i}`).join(', ')}); they stay until this run writes one of the same name`,
      );
    await forgetPointers(workDir);
  }

  private banner(parameters: Parameters): void {
    const { model, loader, backend, optimizer, accumulativeCounts, maxIters, rng, log, lossScale } = this.parts;
    const n = (value: number): string => value.toLocaleString('en-US');
    log.info(
      `model      ${model.constructor.name}: ${n(model.counts.frozen)} frozen and ${n(parameters.count)} trainable parameters, on ${backend.name}`,
    );
    log.info(
      `data       ${loader.dataset.constructor.name}: ${n(loader.dataset.length)} samples, batches of ${loader.batchSize}${accumulativeCounts > 1 ? `, ${accumulativeCounts} per update` : ''}`,
    );
    log.info(
      `training   ${n(maxIters)} iterations with ${optimizer.constructor.name}, learning rate ${optimizer.lr}, seed ${rng.seed}${lossScale === undefined ? '' : `, products in float16, loss scale ${lossScale}`}`,
    );
  }

  private announce(run: RunState, parameters: Parameters, checkpoint: Checkpoint | undefined): void {
    const { model, loader, backend, workDir, maxIters } = this.parts;
    run.emit({
      kind: 'start',
      iter: run.iter,
      workDir: workDir.path,
      maxIters,
      trainable: parameters.count,
      frozen: model.counts.frozen,
      samples: loader.dataset.length,
      backend: backend.name,
      ...(checkpoint && { resumedFrom: checkpoint.folder }),
    });
  }

  private lr(iteration: number): number {
    return learningRate(this.parts.schedules, iteration, this.parts.maxIters, this.parts.optimizer.lr);
  }

  private state(parameters: Parameters, stateNames: string[]): RunState {
    const { model, backend, loader, workDir, rng, config, maxIters, signal, emit = () => {} } = this.parts,
      { ranks, accumulativeCounts } = this.parts,
      { phases, hooks } = this;
    const run: RunState = {
      model,
      backend,
      parameters,
      dataset: loader.dataset,
      workDir,
      rng,
      config,
      maxIters,
      signal,
      emit,
      ranks,
      get update() {
        return Math.floor(run.iter / accumulativeCounts);
      },
      get isUpdate() {
        return (run.iter + 1) % accumulativeCounts === 0 || run.isLast;
      },
      draw: (request) =>
        ranks.size > 1 && this.hooks.together
          ? drawTogether((wanted) => model.sample(wanted), request, ranks)
          : model.sample(request),
      stateNames,
      get asides() {
        return hooks.asides(run);
      },
      iter: 0,
      logs: {},
      evaluations: this.evaluations,
      weights: 'current',
      values: async (weights = run.weights) =>
        weights === 'base' ? model.initialValues(rng) : parameters.read(backend.states, purposeOf(weights)),
      evaluated: async (found) => {
        this.evaluations.push({ iter: run.iter, ...found });
        await this.hooks.call('afterValEpoch', run);
      },
      saveCheckpoint: () => this.save(run),
      stop: (reason) => {
        this.stopReason ??= reason;
      },
      every: (n) => n > 0 && (run.iter + 1) % n === 0,
      get isLast() {
        return run.iter + 1 >= maxIters;
      },
      get phases() {
        return phases.seconds;
      },
    };
    return run;
  }

  /** An error of data, disk or hook ends the run, but not what it has learnt: that is saved first. */
  private async rescue(run: RunState): Promise<void> {
    const { log } = this.parts,
      { iter } = this.trained;
    if (this.parts.ranks.rank > 0 || iter === undefined || iter < 0 || this.saved?.iter === iter) return;
    run.iter = iter;
    const without = new Set<Hook>(),
      told = (error: unknown): string => (error instanceof Error ? error.message : String(error));
    for (;;) {
      const [tried, refused] = [without.size, [...without].map((hook) => hook.constructor.name).join(', ')];
      try {
        const folder = await this.save(run, without);
        log.info(
          `an error ends the run after iteration ${iter}; saved ${folder}${refused && ` without the files of ${refused}`}. When the cause is mended, add --resume to the same command`,
        );
        return;
      } catch (error) {
        if (without.size > tried) continue; // a hook's: without its files, then
        log.warn(`an error ends the run after iteration ${iter}, which could not be saved: ${told(error)}`);
        return;
      }
    }
  }

  /** @param without hooks whose files are left out; one that fails is added to them */
  private async save(run: RunState, without?: Set<Hook>): Promise<string> {
    if (this.saved?.iter === run.iter) return this.saved.folder;
    const { workDir, backend, config, rng, model, accumulativeCounts, ranks } = this.parts;
    if (ranks.rank > 0) return workDir.step(run.iter);
    const record: RunRecord = {
      iteration: run.iter,
      seed: rng.seed,
      accumulated: run.isLast ? 0 : (run.iter + 1) % accumulativeCounts,
      ranks: ranks.size,
      model_fingerprint: model.fingerprint,
      run_id: this.runId,
      diffengine: packageVersion,
      evaluations: this.evaluations,
      config_hash: configHash(config),
      config,
    };
    const folder = await saveCheckpoint({
      workDir,
      states: backend.states,
      stateNames: run.stateNames,
      record,
      addFiles: (aside) => this.hooks.beforeSaveCheckpoint(run, aside, without),
    });
    this.saved = { iter: run.iter, folder };
    run.emit({ kind: 'checkpoint', iter: run.iter, path: folder });
    return folder;
  }
}
