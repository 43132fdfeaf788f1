import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { inject } from 'inversify';
import sharp from 'sharp';
import { stringify } from 'yaml';
import type { RunState } from '../engine/run-state.js';
import { HOOKS, Hook } from '../engine/hook.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { LOGGER, OPTIONS } from '../registry/tokens.js';
import { type Logger } from '../base/logger.js';
import { escapeHtml, lineChart, type Point } from './report/line-chart.js';
import { scoreCurves } from './report/score-curves.js';
import { scoreTable } from './report/score-table.js';
import { EVALUATION_FILE, readEvaluation, type RunEvaluation } from '../runs/evaluation-file.js';

@HOOKS.register()
export class ReportHook extends Hook {
  static readonly options = {
    description:
      'Writes report.html: the loss curve, the pictures over time and the config, in one file that needs nothing else.',
    type: 'object',
    additionalProperties: false,
    properties: {
      interval: {
        type: 'integer',
        minimum: -1,
        default: 100,
        description: 'iterations between updates of the report; -1: only at the end',
      },
      jsonl: {
        type: 'string',
        minLength: 1,
        default: 'log.jsonl',
        description: "the LoggerHook's file in the work dir",
      },
    },
  } as const satisfies OptionsSchema;
  /** After VisualizationHook, so that the report shows the latest pictures. */
  override readonly priority = 'LOWEST';

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof ReportHook.options>,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
  }

  override async afterTrainIter(run: RunState): Promise<void> {
    if (run.every(this.opts.interval) && !run.isLast) await this.write(run);
  }

  override async afterTrain(run: RunState): Promise<void> {
    await this.write(run);
    this.log.info(`report: ${run.workDir.file('report.html')}`);
  }

  private async write(run: RunState): Promise<void> {
    const curve = await lossCurve(run.workDir.file(this.opts.jsonl));
    const pictures = await sheets(run.workDir.file('vis'));
    await run.workDir.write(
      'report.html',
      page(run, curve, pictures, await readEvaluation(run.workDir.file(EVALUATION_FILE))),
    );
  }
}

interface Sheet {
  readonly title: string;
  readonly dataUri: string;
}

/** The loss of every iteration in the log; torn lines are left out. */
async function lossCurve(path: string): Promise<Point[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => {
    try {
      const { iter, loss } = JSON.parse(line) as { iter: number; loss: number };
      return [{ x: iter, y: loss }];
    } catch {
      return [];
    }
  });
}

/** The contact sheets of VisualizationHook, in the order of training, small enough to embed. */
async function sheets(folder: string): Promise<Sheet[]> {
  const names = (await readdir(folder).catch(() => [])).filter((n) => n.endsWith('.png'));
  const iteration = (name: string): number => Number(/\d+/.exec(name)?.[0] ?? -1);
  const ordered = names.sort((a, b) => iteration(a) - iteration(b));
  return Promise.all(
    ordered.map(async (name) => {
      const small = await sharp(join(folder, name))
        .resize({ width: 1024, height: 1024, fit: 'inside', withoutEnlargement: true })
        .webp({ quality: 85 })
        .toBuffer();
      const title = iteration(name) < 0 ? 'before training' : `after iteration ${iteration(name)}`;
      return { title, dataUri: `data:image/webp;base64,${small.toString('base64')}` };
    }),
  );
}

function page(
  run: RunState,
  curve: readonly Point[],
  pictures: readonly Sheet[],
  scores: RunEvaluation | undefined,
): string {
  const title = escapeHtml(basename(run.workDir.path));
  const numbers = Object.entries(run.logs)
    .map(([name, value]) => `${escapeHtml(name)} ${value.toPrecision(4)}`)
    .join(' · ');
  const figures = pictures.map(
    ({ title: caption, dataUri }) =>
      `<figure><img src="${dataUri}" alt="${caption}"><figcaption>${caption}</figcaption></figure>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
  .pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem } figure { margin: 0 }
  img, svg { max-width: 100%; height: auto } figcaption { color: #666 } td, th { padding: 0.2rem 1rem 0.2rem 0; text-align: left } pre { background: #f5f5f5; padding: 1rem; overflow: auto }
</style></head><body>
<h1>${title}</h1>
<p>Iteration ${run.iter + 1} of ${run.maxIters} · ${numbers}</p>
<h2>Loss</h2>
${lineChart(curve)}
${scores ? `<h2>Evaluation</h2>\n${scoreTable(scores)}\n${scoreCurves(scores)}` : ''}
${figures.length > 0 ? `<h2>Pictures</h2>\n<div class="pictures">\n${figures.join('\n')}\n</div>` : ''}
<h2>Config</h2>
<pre>${escapeHtml(stringify(run.config))}</pre>
</body></html>
`;
}

declare module '../registry/kinds.js' {
  interface HookMap {
    ReportHook: typeof ReportHook;
  }
}
