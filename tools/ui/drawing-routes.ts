/** Draws with the checkpoints of runs. */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import type { Context, Hono } from 'hono';
import { recordedBase } from '../../src/engine/checkpoint-path.js';
import { parse } from 'yaml';
import { loadComponents } from '../../src/components.js';
import { isTree } from '../../src/registry/merge.js';
import { GUIDANCE_RESCALE } from '../../src/registry/guidance-rescale.js';
import { PICTURE_SIDE } from '../../src/registry/picture-side.js';
import { checkOptions, suggestion } from '../../src/registry/validate.js';
import type { RunView } from '../../src/runs/run-view.js';
import { SCHEDULERS } from '../../src/sampling/schedulers/scheduler.js';
import { bodyOf } from './body.js';
import type { Drawings, Wanted } from './drawings.js';
import { Problem } from './problem.js';
import type { DrawRequest } from './protocol.js';
import type { RunWatcher } from './run-watcher.js';

const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['run', 'checkpoint', 'prompt'],
  properties: {
    run: { type: 'string' },
    checkpoint: { type: ['string', 'null'] },
    prompt: { type: 'string', maxLength: 10_000 },
    negativePrompt: { type: 'string', maxLength: 10_000 },
    seed: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER - 16 },
    count: { type: 'integer', minimum: 1, maximum: 16 },
    steps: { type: 'integer', minimum: 1, maximum: 1000 },
    guidanceScale: { type: 'number' },
    guidanceRescale: GUIDANCE_RESCALE,
    width: PICTURE_SIDE,
    height: PICTURE_SIDE,
    scheduler: { type: 'string' },
    adapterScale: { type: 'number' },
  },
};
/** of a seed that nobody gave */
const SEEDS = 2 ** 31;

export function drawingRoutes(app: Hono, watcher: RunWatcher, drawings: Drawings): void {
  app.get('/api/schedulers', async (c) => c.json(await schedulers()));
  app.get('/api/drawings', (c) => c.json(drawings.list()));
  app.post('/api/drawings', async (c) => {
    const body = await bodyOf(c);
    checkOptions(body, SCHEMA, 'draw');
    const request = body as unknown as DrawRequest,
      { seed = randomInt(SEEDS), count = 1 } = request;
    await requireScheduler(request.scheduler);
    const wanted = await wantedOf(request, watcher);
    return c.json(
      drawings.add(
        request,
        wanted,
        Array.from({ length: count }, (_, k) => seed + k),
      ),
    );
  });
  app.delete('/api/drawings/:number', (c) => {
    drawings.remove(numberOf(c));
    return c.body(null, 204);
  });
  app.get('/api/drawings/:number/picture', (c) =>
    c.body(new Uint8Array(drawings.picture(numberOf(c))), 200, {
      'Content-Type': 'image/png',
      'Cache-Control': 'no-store',
    }),
  );
}

async function schedulers(): Promise<readonly string[]> {
  await loadComponents();
  return SCHEDULERS.names();
}

async function requireScheduler(name: string | undefined): Promise<void> {
  const known = name === undefined ? [] : await schedulers();
  if (name !== undefined && !known.includes(name))
    throw new Problem(400, `scheduler "${name}": there is none of that name${suggestion(name, known)}`);
}

/** What is left out is as the run's own previews. */
async function wantedOf(request: DrawRequest, watcher: RunWatcher): Promise<Wanted> {
  const reader = await watcher.reader(request.run);
  if (!reader) throw new Problem(404, `no run "${request.run}"`);
  const view = await reader.view(),
    { drawing } = view;
  if (!drawing) throw new Problem(409, `${view.id}: its model draws no pictures`);
  const checkpoint = checkpointOf(view, reader.path, request);
  const { width = drawing.width, height = drawing.height, scheduler = drawing.scheduler } = request;
  return {
    model: checkpoint === undefined ? baseOf(view) : await recordedBase(checkpoint),
    checkpoint,
    adapterScale: request.adapterScale ?? 1,
    prompt: request.prompt,
    negativePrompt: request.negativePrompt ?? drawing.negativePrompt,
    steps: request.steps ?? drawing.steps,
    guidanceScale: request.guidanceScale ?? drawing.guidanceScale,
    guidanceRescale: request.guidanceRescale ?? drawing.guidanceRescale,
    ...{ width, height, scheduler },
  };
}

/** Only names of the list lead to a folder. */
function checkpointOf(
  view: RunView,
  path: string,
  { checkpoint: name, adapterScale }: DrawRequest,
): string | undefined {
  if (name === null) return undefined;
  const checkpoint = view.checkpoints.find((one) => one.name === name);
  if (!checkpoint) throw new Problem(404, `${view.id}: no checkpoint "${name}" any more; choose another`);
  if (adapterScale !== undefined && adapterScale !== 1 && !checkpoint.isAdapter)
    throw new Problem(400, `adapter scale ${adapterScale}: ${name} holds networks that were trained whole, no adapter`);
  return join(path, checkpoint.name);
}

function baseOf({ id, config }: RunView): string {
  const tree: unknown = parse(config),
    model = isTree(tree) && isTree(tree['model']) ? tree['model']['model'] : undefined;
  if (typeof model !== 'string') throw new Problem(409, `${id}: its config names no base model`);
  return model;
}

function numberOf(c: Context): number {
  const text = c.req.param('number') ?? '';
  if (!/^\d+$/.test(text)) throw new Problem(404, `no drawing "${text}"`);
  return Number(text);
}
