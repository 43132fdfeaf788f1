import { join } from 'node:path';
import { inject } from 'inversify';
import { stringify } from 'yaml';
import type { RunState } from '../engine/run-state.js';
import { HOOKS, Hook } from '../engine/hook.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { LOGGER, OPTIONS } from '../registry/tokens.js';
import { type Logger } from '../base/logger.js';
import type { ReportData } from '../runs/report-data.js';
import { RunReader } from '../runs/run-reader.js';
import type { Picture, RunView } from '../runs/run-view.js';
import { Embedder } from './report/embed.js';
import { readTemplate, reportHtml } from './report/report-html.js';
import { thinPreviews, thinScalars, thinTraining } from './report/thin.js';

/** In the work dir. */
const REPORT = 'report.html';

@HOOKS.register()
export class ReportHook extends Hook {
  static readonly options = {
    description:
      'Writes report.html: curves, pictures over time, evaluation, time, config and how to make the run again, in one file that can be mailed.',
    type: 'object',
    additionalProperties: false,
    properties: {
      interval: {
        type: 'integer',
        minimum: -1,
        default: 100,
        description: 'iterations between updates of the report; -1: only at the end',
      },
    },
  } as const satisfies OptionsSchema;
  /** After VisualizationHook, so that the report shows the latest pictures. */
  override readonly priority = 'LOWEST';

  private readonly embedder = new Embedder();
  private template: string | undefined;
  private reader: RunReader | undefined;

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof ReportHook.options>,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
  }

  override async beforeTrain(): Promise<void> {
    this.template = await readTemplate().catch(() => undefined);
    if (this.template === undefined)
      this.log.warn(
        'ReportHook: no report will be written: dist/ui/report.html is missing; "npm run build:ui" makes it',
      );
  }

  override async afterTrainIter(run: RunState): Promise<void> {
    if (run.every(this.opts.interval) && !run.isLast) await this.write(run);
  }

  override async afterTrain(run: RunState): Promise<void> {
    if (await this.write(run)) this.log.info(`report: ${run.workDir.file(REPORT)}`);
  }

  /** @returns whether there is one */
  private async write(run: RunState): Promise<boolean> {
    if (this.template === undefined) return false;
    const data = await this.data(run).catch((error: unknown) => {
      // A run of hours does not end for a file of its work dir that somebody has damaged.
      this.log.warn(`ReportHook: ${REPORT} stays as it was: ${error instanceof Error ? error.message : String(error)}`);
    });
    if (!data) return false;
    await run.workDir.write(REPORT, reportHtml(this.template, data));
    return true;
  }

  private async data(run: RunState): Promise<ReportData> {
    this.reader ??= new RunReader(run.workDir.path);
    const found = await this.reader.view(),
      scalars = thinScalars(await this.reader.scalars()),
      previews = thinPreviews(found.previews),
      training = thinTraining(found.trainingPictures);
    // What the run knows itself is newer than its files.
    const view: RunView = {
      ...found,
      iterations: run.iter + 1,
      maxIters: run.maxIters,
      config: stringify(run.config),
      phases: run.phases,
      thumbnail: undefined,
      previews: await Promise.all(
        previews.kept.map(async ({ iter, pictures }) => ({ iter, pictures: await this.embed(run, pictures) })),
      ),
      trainingPictures: await this.embed(run, training.kept),
    };
    const thinned = [scalars.said, previews.said, training.said].filter((text) => text !== undefined);
    return { view, scalars: scalars.kept, thinned, written: Math.round(Date.now() / 1000) };
  }

  private async embed(run: RunState, pictures: readonly Picture[]): Promise<Picture[]> {
    const embedded = await Promise.all(
      pictures.map((picture) => this.embedder.embed(join(run.workDir.path, picture.src), picture)),
    );
    return embedded.filter((picture) => picture !== undefined);
  }
}

declare module '../registry/kinds.js' {
  interface HookMap {
    ReportHook: typeof ReportHook;
  }
}
