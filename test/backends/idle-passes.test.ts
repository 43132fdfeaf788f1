/** The graph passes of ONNX Runtime that are left out change nothing in a training step and a sampling step. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import protobuf from 'protobufjs';
import t from 'tap';
import { rootsOf, type Backend, type Program } from '../../src/backends/backend.js';
import { emitProgram } from '../../src/backends/onnx/emit.js';
import { IDLE_PASSES } from '../../src/backends/onnxruntime/idle-passes.js';
import { ModelFolder } from '../../src/backends/onnxruntime/model-folder.js';
import { optimize } from '../../src/backends/optimize.js';
import { loadComponents } from '../../src/components.js';
import { AdamW } from '../../src/engine/optimizers/adamw.js';
import { Parameters } from '../../src/engine/parameters.js';
import { TrainStep } from '../../src/engine/train-step.js';
import { type Model, MODELS } from '../../src/models/model.js';
import { createBuild } from '../../src/registry/container.js';
import { LOGGER } from '../../src/registry/tokens.js';
import { float32, type HostTensor } from '../../src/tensor/host.js';
import { topo } from '../../src/tensor/tensor.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { TINY, wave } from '../fixtures/networks/networks.js';

/** The operators of a model file: ModelProto.graph = 7, GraphProto.node = 1, NodeProto.op_type = 4. */
function operators(file: string): Record<string, number> {
  const reader = protobuf.Reader.create(readFileSync(file)),
    counts: Record<string, number> = {};
  const inside = (path: readonly number[], end: number): void => {
    while (reader.pos < end) {
      const tag = reader.uint32();
      if (tag >>> 3 !== path[0]) reader.skipType(tag & 7);
      else if (path.length > 1) inside(path.slice(1), reader.uint32() + reader.pos);
      else {
        const op = reader.string();
        counts[op] = (counts[op] ?? 0) + 1;
      }
    }
  };
  inside([7, 1, 4], reader.len);
  return counts;
}

/** As the runtime would run it. */
async function optimised(
  scratch: string,
  program: Program,
  without: readonly string[],
): Promise<Record<string, number>> {
  const files = topo(rootsOf(program)).flatMap(({ op, payload }) =>
    op === 'weight' ? [(payload as { file: string }).file] : [],
  );
  const folder = await ModelFolder.create(scratch, [...new Set(files)]),
    to = join(folder.path, 'optimised.onnx');
  const from = await folder.writeModel(
    emitProgram(program, ({ file }) => folder.locate(file), { overwrites: true }).model,
  );
  const extra = {
    session: { disable_prepacking: '1' },
    optimization: { disable_specified_optimizers: without.join(';') },
  };
  await (
    await ort.InferenceSession.create(from, {
      graphOptimizationLevel: 'extended',
      enableMemPattern: false,
      logSeverityLevel: 4,
      optimizedModelFilePath: to,
      extra,
    })
  ).release();
  const counts = operators(to);
  await folder.remove();
  return counts;
}

void t.test('operators of the optimised training step are the same with and without them', async (t) => {
  await loadComponents();
  const programs: Program[] = [];
  const keeping = {
    name: 'keeping',
    states: { write: async () => {} },
    compile: async (program: Program) => {
      programs.push(optimize(program));
      return { run: async () => ({ loss: float32([0], []), grad_norm: float32([0], []) }), dispose: async () => {} };
    },
  } as unknown as Backend;
  const model = createBuild([[LOGGER, new Lines()]])(MODELS, {
    type: 'StableDiffusion',
    model: TINY,
    unet_lora_config: { type: 'LoRA', r: 2, lora_alpha: 2 },
  }) as Model;
  await model.load();
  const step = new TrainStep({
    model,
    backend: keeping,
    parameters: new Parameters(model.parameters()),
    optimizer: new AdamW({ lr: 1e-2, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 }),
    clipMaxNorm: 1,
    accumulativeCounts: 1,
    maxIters: 1,
  });
  const feeds: Record<string, HostTensor> = {
    noisy_latents: wave([1, 4, 8, 8]),
    target: wave([1, 4, 8, 8], 7),
    timesteps: float32([700], [1]),
    weights: float32([1], [1]),
    encoder_hidden_states: wave([1, 77, 32], 3),
  };
  await step.run(feeds, { iteration: 0, lr: 1e-2 });
  const { outputs } = programs[0],
    forward: Program = { name: 'forward', outputs: { loss: outputs['loss'] } };
  for (const program of [programs[0], forward]) {
    const all = await optimised(t.testdir(), program, []);
    t.ok(all['Gemm'] > 20 && all['QuickGelu'] > 0, `${program.name}: ${JSON.stringify(all)}`);
    t.strictSame(await optimised(t.testdir(), program, IDLE_PASSES), all, program.name);
  }
});
