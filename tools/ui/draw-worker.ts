/** The process that draws: one order at a time, the last model kept open. Started by `Drawings`; ends with it. */
import { stat } from 'node:fs/promises';
import { loadPipeline } from '../../src/library/load-pipeline.js';
import type { Pipeline } from '../../src/library/pipeline.js';
import type { DrawOrder, FromWorker, ToWorker } from './draw-messages.js';

let open: { readonly model: string; readonly pipeline: Pipeline; trained: string } | undefined;
let controller = new AbortController();

process.on('message', (message: ToWorker) => {
  if (message.kind === 'cancel') controller.abort(new Error('cancelled'));
  else void draw(message);
});
process.on('disconnect', () => process.exit());

const tell = (message: FromWorker): void => void process.send?.(message);

async function draw(order: DrawOrder): Promise<void> {
  const { number, prompt, negativePrompt, seed, steps, guidanceScale, guidanceRescale } = order,
    { width, height, scheduler } = order,
    { signal } = (controller = new AbortController());
  try {
    const pipeline = await opened(order, signal);
    const picture = await pipeline.draw({
      ...{ prompt, negativePrompt, seed, steps, guidanceScale, guidanceRescale, width, height, scheduler, signal },
      onStep: (done, total) => tell({ kind: 'step', number, done, total }),
    });
    tell({ kind: 'done', number, png: await picture.png() });
  } catch (error) {
    tell({ kind: 'failed', number, error: error instanceof Error ? error.message : String(error) });
  }
}

/** The pipeline of an order: what fits of the last one stays open. */
async function opened({ model, checkpoint, adapterScale }: DrawOrder, signal: AbortSignal): Promise<Pipeline> {
  if (open?.model !== model) {
    await open?.pipeline.dispose();
    open = undefined;
    open = { model, pipeline: await loadPipeline(model, { signal }), trained: NOTHING };
  }
  // A run may write a checkpoint of the same name again.
  const trained =
    checkpoint === undefined ? NOTHING : `${checkpoint} ${(await stat(checkpoint)).mtimeMs} ${adapterScale}`;
  if (open.trained !== trained) {
    if (open.trained !== NOTHING) await open.pipeline.unloadAdapters();
    open.trained = NOTHING;
    if (checkpoint !== undefined) await open.pipeline.loadAdapter(checkpoint, { scale: adapterScale });
    open.trained = trained;
  }
  return open.pipeline;
}

const NOTHING = '';
