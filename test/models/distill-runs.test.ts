/** Runs of distillation, and the pipelines they leave. */
import { createHash } from 'node:crypto';
import { cp, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { OnnxRuntimeBackend } from '../../src/backends/onnxruntime/onnxruntime-backend.js';
import { loadComponents } from '../../src/components.js';
import { buildRun, type RunConfig } from '../../src/engine/build-run.js';
import { Renderer } from '../../src/sampling/renderer.js';
import type { RunState } from '../../src/engine/run-state.js';
import { Runner, type Resume } from '../../src/engine/runner.js';
import { WorkDir } from '../../src/engine/work-dir.js';
import { Hook } from '../../src/engine/hook.js';
import { exportPipeline } from '../../src/models/export-pipeline.js';
import { openPipeline } from '../../src/formats/pipeline/pipeline-folder.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { Rng } from '../../src/base/rng.js';
import { createBuild } from '../../src/registry/container.js';
import { LOGGER } from '../../src/registry/tokens.js';
import { float32, floats } from '../../src/tensor/host.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { distillation, first, same } from '../fixtures/models/distill.js';
import { Project } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);
await loadComponents();

const { backend, root, teacher, pictures, ready } = await distillation(t);

const CONFIG = {
  model: { type: 'DistillSD', model: teacher, block_removal: 'tiny' },
  train_dataloader: {
    batch_size: 2,
    dataset: {
      type: 'ImageFolderDataset',
      dataset: pictures,
      pipeline: [
        { type: 'Resize', size: 64 },
        { type: 'CenterCrop', size: 64 },
        { type: 'ToTensor' },
        { type: 'Normalize', mean: [0.5], std: [0.5] },
        { type: 'PackInputs' },
      ],
    },
  },
  optim_wrapper: { optimizer: { type: 'AdamW', lr: 1e-4 }, accumulative_counts: 2, clip_grad: { max_norm: 1 } },
  train_cfg: { max_iters: 5 },
  default_hooks: { checkpoint: { type: 'CheckpointHook', interval: -1 }, logger: { type: 'LoggerHook', interval: 1 } },
  custom_hooks: { ema: { type: 'EMAHook', momentum: 0.1 }, save: { type: 'PeftSaveHook' } },
} satisfies RunConfig;

class StopAfter extends Hook {
  constructor(private readonly iteration: number) {
    super();
  }
  override async afterTrainIter(run: RunState): Promise<void> {
    if (run.iter === this.iteration) run.stop('test');
  }
}

async function train(
  path: string,
  options: { resume?: Resume; stopAfter?: number; config?: RunConfig } = {},
): Promise<void> {
  const workDir = await WorkDir.open(path),
    log = new Lines(),
    config = options.config ?? CONFIG;
  const own = new OnnxRuntimeBackend({
    device: 'cpu',
    intra_op_num_threads: 1,
    graph_optimization_level: 'extended',
    scratch_dir: null,
  });
  const datasetServices = { cacheDir: join(path, 'cache'), resolveDataset: async (id: string) => id };
  const parts = buildRun(config, {
    build: createBuild([[LOGGER, log]]),
    backend: own,
    workDir,
    rng: new Rng(2),
    log,
    signal: new AbortController().signal,
    datasetServices,
  });
  try {
    await new Runner({ ...parts, hooks: [...parts.hooks, new StopAfter(options.stopAfter ?? -1)] }).train(
      options.resume,
    );
  } finally {
    await own.dispose();
    await workDir.close();
  }
}

interface LogLine {
  readonly loss: number;
  readonly loss_task: number;
  readonly loss_output: number;
  readonly loss_feature: number;
  readonly grad_norm?: number;
}
const logOf = async (path: string): Promise<LogLine[]> =>
  (await readFile(join(path, 'log.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as LogLine);

void t.test(
  'a run with accumulation and EMA: every term is logged, resumed within a group it equals the uninterrupted one, the student is a pipeline',
  async (t) => {
    const straight = join(root, 'straight'),
      resumed = join(root, 'resumed');
    await train(straight);
    const log = await logOf(straight);
    t.strictSame(
      log.map((l) => l.grad_norm !== undefined),
      [false, true, false, true, true],
    );
    for (const l of log)
      t.ok(Math.abs(l.loss - l.loss_task - l.loss_output - l.loss_feature) < 1e-5 * l.loss, JSON.stringify(l));

    await train(resumed, { stopAfter: 2 });
    t.strictSame(
      (await readdir(resumed)).filter((n) => n.startsWith('step')),
      ['step2'],
    );
    await train(resumed, { resume: true });
    const hash = async (path: string): Promise<string> =>
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex');
    for (const file of [
      'step4/training_state.safetensors',
      'step4/unet/diffusion_pytorch_model.safetensors',
      'log.jsonl',
    ])
      t.equal(await hash(join(resumed, file)), await hash(join(straight, file)), file);

    const checkpoint = join(straight, 'step4');
    t.strictSame((await readdir(checkpoint)).sort(), ['README.md', 'run.json', 'training_state.safetensors', 'unet']);
    const file = await openSafetensors(join(checkpoint, 'unet/diffusion_pytorch_model.safetensors')),
      state = await openSafetensors(join(checkpoint, 'training_state.safetensors'));
    const student = await ready({ student: checkpoint }),
      again = await student.initialValues(new Rng(0));
    const average = await state.read('ema/packed'),
      flat = float32(new Float32Array(average.data.length), average.shape);
    floats(flat).set([...student.parameters().keys()].flatMap((name) => Array.from(floats(again[name])))); // zeros follow
    t.ok(same(flat, average), 'the checkpoint holds the average of the weights');
    t.notOk(same(flat, await state.read('params/packed')));
    t.equal(file.entries.size, student.parameters().size);

    const whole = join(root, 'exported'),
      half = join(root, 'exported-half');
    t.strictSame(await exportPipeline(checkpoint, teacher, whole), ['unet']);
    t.equal((await openPipeline(whole)).unetConfig.hasMidBlock, false);
    await exportPipeline(checkpoint, teacher, half, { dtype: 'float16' });
    t.strictSame(
      [...new Set([...(await openPipeline(half)).unet.weights.entries.values()].map((e) => e.dtype))],
      ['float16'],
    );
    const request = { prompts: ['a dog'], seeds: [3], steps: 2, guidance_scale: 3, height: 64, width: 64 };
    const drawn = await first(student.sample(request));
    for (const [model, trained] of [
      [whole, []],
      [teacher, [{ path: checkpoint, scale: 1 }]],
    ] as const) {
      const renderer = await Renderer.open(model, trained, backend, new Lines());
      t.ok(
        same(await first(renderer.render(request)), drawn),
        `${trained.length > 0 ? 'the checkpoint' : 'the exported pipeline'} draws what the student draws`,
      );
      await renderer.dispose();
    }
    await student.executor.dispose();
  },
);

void t.test(
  'a student that predicts otherwise than its teacher: its checkpoint and its pipeline draw so, too',
  async (t) => {
    const prediction_type = 'v_prediction',
      path = join(root, 'predicts-v'),
      checkpoint = join(path, 'step0'),
      whole = join(root, 'exported-v');
    await train(path, { stopAfter: 0, config: { ...CONFIG, model: { ...CONFIG.model, prediction_type } } });
    await exportPipeline(checkpoint, teacher, whole);
    t.equal((await openPipeline(whole)).schedulerConfig['prediction_type'], prediction_type);
    t.not((await openPipeline(teacher)).schedulerConfig['prediction_type'], prediction_type);
    const student = await ready({ student: checkpoint, prediction_type });
    const request = { prompts: ['a dog'], seeds: [3], steps: 2, guidance_scale: 3, height: 64, width: 64 },
      drawn = await first(student.sample(request));
    const cases = [
      ['the exported pipeline', whole, []],
      ['the checkpoint on its teacher', teacher, [{ path: checkpoint, scale: 1 }]],
    ] as const;
    for (const [what, model, trained] of cases) {
      const renderer = await Renderer.open(model, trained, backend, new Lines());
      t.ok(same(await first(renderer.render(request)), drawn), what);
      await renderer.dispose();
    }
    await student.executor.dispose();
  },
);

void t.test('resume: another student is another base', async (t) => {
  const path = join(root, 'other');
  await train(path, { stopAfter: 0 });
  await t.rejects(
    train(path, { resume: true, config: { ...CONFIG, model: { ...CONFIG.model, block_removal: 'small' } } }),
    { name: 'UserError', message: /step0: trained on another base model/ },
  );
});

void t.test('a checkpoint without a whole network is not exported', async (t) => {
  await t.rejects(exportPipeline(pictures, teacher, join(root, 'nothing')), {
    name: 'UserError',
    message:
      /pictures: no unet\/diffusion_pytorch_model\.safetensors in it; adapters are added to their base with "diffengine merge-lora"/,
  });
});

void t.test('the built-in toy config: make-model, train, export-pipeline and demo as a user runs them', async (t) => {
  const project = Project.create(t, {});
  await cp(pictures, project.file('pictures'), { recursive: true });
  const run = async (...args: string[]): Promise<string> => {
    const { code, out, err } = await project.run(args);
    t.strictSame([code, err], [0, ''], args[0]);
    return out;
  };
  await run('make-model', 'tiny-random-teacher', '--out', 'tiny-random-teacher');
  t.match(
    await run('train', 'tiny_random_sd_distill', '--cfg-options', 'train_cfg.max_iters=2', 'custom_hooks.preview=null'),
    /model +DistillSD: .* frozen and 549,060 trainable parameters/,
  );
  t.match(
    await run('export-pipeline', 'work_dirs/tiny_random_sd_distill', '--out', 'student', '--dtype', 'float16'),
    /student: unet of .*step1, the rest of .*tiny-random-teacher/,
  );
  await run('demo', 'a dog', 'student', '--height', '64', '--width', '64', '--steps', '2', '--out', 'dog.png');
  t.ok(project.files().includes('dog.png'));
});
