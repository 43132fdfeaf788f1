import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import type { Executable, Program } from '../../src/backends/backend.js';
import { OnnxRuntimeBackend } from '../../src/backends/onnxruntime/onnxruntime-backend.js';
import { loadComponents } from '../../src/components.js';
import { buildRun, type RunConfig } from '../../src/engine/build-run.js';
import { Phases } from '../../src/engine/phases.js';
import { Hook } from '../../src/engine/hook.js';
import { RunHooks } from '../../src/engine/run-hooks.js';
import type { RunState } from '../../src/engine/run-state.js';
import { Runner } from '../../src/engine/runner.js';
import { WorkDir, WORK_DIR } from '../../src/engine/work-dir.js';
import { resolveDataset } from '../../src/formats/hub/hub.js';
import { Rng } from '../../src/base/rng.js';
import { createBuild } from '../../src/registry/container.js';
import { loadConfig } from '../../src/registry/load-config.js';
import { LOGGER, RNG } from '../../src/registry/tokens.js';
import { type Logger } from '../../src/base/logger.js';
import { validateConfig } from '../../src/registry/validate.js';

const silent: Logger = { info: () => {}, warn: () => {}, debug: () => {} };

void t.test('a phase inside another counts for itself only', async (t) => {
  let ms = 0;
  const phases = new Phases(() => ms),
    pass = async (n: number): Promise<void> => {
      ms += n;
    };
  await pass(1000);
  await phases.measure('steps', async () => {
    await pass(500);
    await phases.measure('compile', () => pass(3000));
    await pass(250);
  });
  await pass(70);
  await phases.measure('steps', () => pass(1250));
  await phases.measure('report', () => pass(10));
  t.strictSame(phases.seconds, { steps: 2, compile: 3, report: 0.01 });
  t.equal(String(phases), '5.0 s: compile 3.0 s, steps 2.0 s');
});

void t.test('a phase that fails has taken its time, and the one around it goes on', async (t) => {
  let ms = 0;
  const phases = new Phases(() => ms);
  await phases.measure('outer', async () => {
    await t.rejects(
      phases.measure('inner', async () => {
        ms += 5;
        throw new Error('broken');
      }),
      { message: 'broken' },
    );
    ms += 7;
  });
  t.strictSame(phases.seconds, { outer: 0.007, inner: 0.005 });
});

void t.test('the time left has what hooks do now and then, as long as the last time', async (t) => {
  class Slow extends Hook {
    override get period(): number {
      return 10;
    }
    override beforeTrain = (): Promise<void> => setTimeout(20);
    override afterTrainIter = (): Promise<void> => setTimeout(1);
  }
  class AtEnd extends Slow {
    override get period(): number {
      return -1;
    }
  }
  const hooks = new RunHooks([new Slow(), new AtEnd()]),
    run = { iter: 0, maxIters: 35, every: (n: number) => n > 0 && (run.iter + 1) % n === 0 } as RunState;
  t.strictSame(hooks.asides(run), { spent: 0, left: 0 }, 'nothing is known yet');
  await hooks.call('beforeTrain', run);
  const first = hooks.asides(run);
  t.ok(first.spent >= 0.038, 'both have taken 20 ms');
  // After iterations 9, 19, 29 and at the end; the other one at the end alone.
  t.ok(first.left > 4 * 0.019 + 0.019 && Math.abs(first.left / first.spent - 2.5) < 1, `${first.left}`);
  run.iter = 4;
  await hooks.afterTrainIter(run);
  t.strictSame(hooks.asides(run), first, 'a step without pictures is no aside');
  run.iter = 9;
  await hooks.afterTrainIter(run);
  const second = hooks.asides(run);
  t.ok(
    second.spent > first.spent && second.left < first.left / 1.5,
    'three are left, and take as long as the last one',
  );
});

/** Counts how often each program runs. */
class Counting extends OnnxRuntimeBackend {
  readonly runs: Record<string, number> = {};

  override async compile(program: Program): Promise<Executable> {
    const inner = await super.compile(program);
    return {
      dispose: () => inner.dispose(),
      run: (feeds) => {
        this.runs[program.name] = (this.runs[program.name] ?? 0) + 1;
        return inner.run(feeds);
      },
    };
  }
}

/** The built-in DreamBooth run with prior preservation on the tiny random model, 12 iterations, no random crops or flips. */
async function dreambooth(
  path: string,
  cacheDir: string,
  model: object,
): Promise<{ log: string; runs: Record<string, number>; phases: Record<string, number> }> {
  const { config: merged } = await loadConfig('tiny_random_sd_dreambooth_lora_dog', [
    'train_cfg.max_iters=12',
    'custom_hooks.preview=null',
    'default_hooks.checkpoint.interval=6',
  ]);
  const tree = validateConfig(merged) as unknown as RunConfig;
  const fixed = [
    { type: 'Resize', size: [64, 64] },
    { type: 'ToTensor' },
    { type: 'Normalize', mean: [0.5], std: [0.5] },
    { type: 'PackInputs' },
  ];
  const { train_dataloader: loader } = tree;
  const config = {
    ...tree,
    model: { ...tree.model, ...model },
    train_dataloader: { ...loader, dataset: { ...loader.dataset, pipeline: fixed } },
  };
  const workDir = await WorkDir.open(path),
    rng = new Rng(0);
  const backend = new Counting({
    device: 'cpu',
    intra_op_num_threads: 1,
    graph_optimization_level: 'extended',
    scratch_dir: null,
  });
  try {
    const build = createBuild([
      [LOGGER, silent],
      [WORK_DIR, workDir],
      [RNG, rng],
    ]);
    const datasetServices = { cacheDir, resolveDataset: (id: string) => resolveDataset(id, { log: silent }) };
    const runner = new Runner(
      buildRun(config, {
        build,
        backend,
        workDir,
        rng,
        log: silent,
        signal: new AbortController().signal,
        datasetServices,
      }),
    );
    await runner.train();
    return { log: readFileSync(join(path, 'log.jsonl'), 'utf8'), runs: backend.runs, phases: runner.phases.seconds };
  } finally {
    await backend.dispose();
    await workDir.close();
  }
}

void t.test(
  'cached latents and texts change nothing: the losses of a DreamBooth run are the same to the last bit',
  async (t) => {
    await loadComponents();
    const path = t.testdir({ cache: {}, on: {}, off: {} }),
      run = (name: string, model: object) => dreambooth(join(path, name), join(path, 'cache'), model);
    const on = await run('on', {}),
      off = await run('off', { cache_latents: false, cache_text: false });
    t.equal(on.log.trim().split('\n').length, 12);
    t.equal(on.log, off.log);
    t.strictSame(
      [on.runs['encode_image'], off.runs['encode_image']],
      [9, 48],
      '5 instances and 4 class pictures, against 12 batches of 2 + 2',
    );
    t.equal(off.runs['encode_text'], 48);
    t.ok((on.runs['encode_text'] ?? 0) < 10);
    t.same(Object.keys(on.phases).sort(), [
      'CheckpointHook',
      'LoggerHook',
      'PeftSaveHook',
      'ReportHook',
      'compile',
      'data',
      'encode',
      'open',
      'prepare data',
      'steps',
    ]);
  },
);
