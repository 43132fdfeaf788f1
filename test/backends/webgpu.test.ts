/**
 * ONNX Runtime on a GPU through WebGPU: the same values as on the CPU. Without a GPU it runs on SwiftShader, a driver that
 * computes on the CPU (docs/backends.md).
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as ort from 'onnxruntime-node';
import t from 'tap';
import type { Backend, Program } from '../../src/backends/backend.js';
import { emitProgram } from '../../src/backends/onnx/emit.js';
import { DEVICES, missingDevice } from '../../src/backends/onnxruntime/devices.js';
import { OnnxRuntimeBackend } from '../../src/backends/onnxruntime/onnxruntime-backend.js';
import { optimize } from '../../src/backends/optimize.js';
import { loadComponents } from '../../src/components.js';
import { AdamW } from '../../src/engine/optimizers/adamw.js';
import { Parameters } from '../../src/engine/parameters.js';
import { TrainStep } from '../../src/engine/train-step.js';
import { type Model, MODELS } from '../../src/models/model.js';
import { Rng } from '../../src/base/rng.js';
import { createBuild } from '../../src/registry/container.js';
import { LOGGER } from '../../src/registry/tokens.js';
import { float32, floats, scalar, type HostTensor } from '../../src/tensor/host.js';
import { add, attention, cast, cos, mul, sin, sum } from '../../src/tensor/ops.js';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { input, state, weight } from '../../src/tensor/tensor.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { TINY, wave } from '../fixtures/networks/networks.js';
import { relativeError } from '../../src/checking/sample-inputs.js';
import { gradientSweep, halfSweep, valueSweep } from '../../src/checking/sweep-programs.js';

t.setTimeout(240_000);
const CHROMIUM = '/usr/lib/chromium/vk_swiftshader_icd.json'; // Debian's package chromium
if (existsSync(CHROMIUM)) process.env['VK_ICD_FILENAMES'] ??= CHROMIUM;

const module = (path: string): string => JSON.stringify(new URL(`../../src/${path}.js`, import.meta.url).href);
/** Adds two numbers on the device and prints the sum or what is wrong. A process of its own: what a driver breaks is not this one. */
const PROBE = (device: string): string => `
  import { OnnxRuntimeBackend } from ${module('backends/onnxruntime/onnxruntime-backend')};
  import { add } from ${module('tensor/ops')};
  import { input } from ${module('tensor/tensor')};
  const backend = new OnnxRuntimeBackend({ device: ${JSON.stringify(device)}, intra_op_num_threads: 0, graph_optimization_level: 'extended', scratch_dir: null });
  const one = { dtype: 'float32', shape: [], data: Float32Array.of(1) };
  await backend.compile({ name: 'probe', outputs: { y: add(input('x', []), input('x', [])) } }).then((program) => program.run({ x: one })).then(({ y }) => console.log('sum ' + y.data), (error) => console.log(error.name + ': ' + error.message));
  await backend.dispose();`;
const probe = (device: string, env: NodeJS.ProcessEnv = process.env): Promise<string> =>
  promisify(execFile)(process.execPath, ['--input-type=module', '-e', PROBE(device)], { timeout: 30_000, env }).then(
    ({ stdout }) => stdout.trim(),
    (error: Error) => error.message,
  );

const found = await probe('webgpu');
const skip =
  found === 'sum 2'
    ? false
    : `no GPU and no driver that does without (${found}); runs where WebGPU finds a Vulkan driver, such as that of Debian's chromium`;
const open = (device: 'cpu' | 'webgpu'): Backend =>
  new OnnxRuntimeBackend({ device, intra_op_num_threads: 0, graph_optimization_level: 'extended', scratch_dir: null });

const webgpuForm = (program: Program): ReturnType<typeof emitProgram> =>
  emitProgram(
    optimize(program),
    ({ file }) => {
      throw new Error(`${file} is not beside the model`);
    },
    DEVICES.webgpu,
  );

/** Programs as the backend compiles them do nothing on the CPU: the runtime refuses them otherwise. */
async function onDeviceAlone(path: string, program: Program): Promise<string> {
  const { model } = webgpuForm(program);
  await writeFile(path, model);
  const options = {
    executionProviders: ['webgpu'],
    logSeverityLevel: 4,
    extra: { session: { disable_cpu_ep_fallback: '1' } },
  } as const;
  return ort.InferenceSession.create(path, options).then(
    (session) => session.release().then(() => 'on the device alone'),
    (error: Error) => error.message,
  );
}

const vulkan = process.platform === 'linux' ? false : 'only Vulkan can be told to have no driver; runs on Linux';
void t.test('WebGPU without a driver is an error of the user, with what to do', { skip: vulkan }, async (t) => {
  const none = join(t.testdir(), 'no-driver.json');
  const said = await probe('webgpu', { ...process.env, VK_ICD_FILENAMES: none, VK_DRIVER_FILES: none });
  t.match(
    said,
    /^UserError: backend\.device: webgpu is not available here \(Failed to get a WebGPU adapter.*\); install the driver of the GPU .*, or compute with backend\.device: 'cpu'$/,
  );
});

void t.test('what the runtime says of a device that is not there is recognised, other errors are not', (t) => {
  const told = [
    [
      'cuda',
      'OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library',
      /^backend\.device: cuda is not available here \(OrtSession.*shared library\); it needs .* "ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules\/onnxruntime-node\/script\/install\.js" downloads/,
    ],
    [
      'cuda',
      "Invalid argument: sessionOptions.executionProviders[0] is unsupported: 'cuda'.",
      /^backend\.device: cuda is not available here/,
    ],
    [
      'cuda',
      'CUDA failure 100: no CUDA-capable device is detected ; GPU=-1',
      /is not available here \(CUDA failure 100: no CUDA-capable device/,
    ],
    [
      'webgpu',
      '/src/webgpu_context.cc:136 ...<lambda()> adapter_result.status == Success was false. Failed to get a WebGPU adapter: No supported adapters\n',
      /not available here \(Failed to get a WebGPU adapter: No supported adapters\); install the driver/,
    ],
  ] as const;
  for (const [device, message, expected] of told) t.match(missingDevice(device, message), expected);
  t.equal(missingDevice('webgpu', 'Unexpected input data type'), undefined);
  t.equal(missingDevice('cpu', 'Failed to load shared library'), undefined);
  t.end();
});

const cudaSaid = await probe('cuda');
const cuda = cudaSaid === 'sum 2' ? 'CUDA works here; runs on machines without it' : false;
void t.test('CUDA without its libraries is an error of the user, with what to do', { skip: cuda }, (t) => {
  t.match(cudaSaid, /^UserError: backend\.device: cuda is not available here/);
  t.end();
});

void t.test(
  'products of 16 bits: the forms for WebGPU give what those for the CPU give, both computed on the CPU',
  async (t) => {
    const { program, feeds } = halfSweep(),
      exact = new ReferenceBackend({}),
      path = join(t.testdir(), 'halves.onnx');
    await writeFile(path, webgpuForm(program).model);
    const session = await ort.InferenceSession.create(path, { logSeverityLevel: 4 });
    const found = await session.run(
      Object.fromEntries(
        Object.entries(feeds).map(([name, { data, shape }]) => [
          `in:${name}`,
          new ort.Tensor('float32', data as Float32Array, shape),
        ]),
      ),
    );
    await session.release();
    const cpu = open('cpu'),
      [byCpu, wanted] = [
        await (await cpu.compile(program)).run(feeds),
        await (await exact.compile(program)).run(feeds),
      ];
    await cpu.dispose();
    for (const key of Object.keys(program.outputs))
      for (const [where, values] of [
        ['for WebGPU', found[`out:${key}`].data as Float32Array],
        ['for the CPU', floats(byCpu[key])],
      ] as const) {
        const error = relativeError(values, floats(wanted[key]));
        t.ok(error < 2e-3, `${key} ${where}: ${error}`);
      }
  },
);

void t.test('on WebGPU', { skip }, async (t) => {
  const gpu = open('webgpu'),
    cpu = open('cpu');
  t.teardown(() => Promise.all([gpu.dispose(), cpu.dispose()]));

  for (const { program, feeds } of [valueSweep(), gradientSweep()])
    await t.test(`every primitive agrees with the CPU, on the device alone: ${program.name}`, async (t) => {
      t.equal(await onDeviceAlone(join(t.testdir(), 'sweep.onnx'), program), 'on the device alone');
      const [got, wanted] = [
        await (await gpu.compile(program)).run(feeds),
        await (await cpu.compile(program)).run(feeds),
      ];
      for (const [key, { shape, data }] of Object.entries(wanted)) {
        t.strictSame(got[key].shape, shape, `${key} shape`);
        const error = relativeError(got[key].data as Float32Array, data as Float32Array);
        t.ok(error < 1e-5, `${key}: ${error}`);
      }
    });

  await t.test(
    'products of 16 bits are computed on the device alone, where it has 16-bit shaders; SwiftShader has none, and says so',
    async (t) => {
      const { program, feeds } = halfSweep();
      t.equal(await onDeviceAlone(join(t.testdir(), 'halves.onnx'), program), 'on the device alone');
      const found = await (
        await gpu.compile(program)
      )
        .run(feeds)
        .catch((error: Error) => `${error.name}: ${error.message}`);
      if (typeof found === 'string') {
        t.equal(
          found,
          "UserError: backend.device: this webgpu device has no 16-bit shaders (shader-f16), which optim_wrapper.type: 'AmpOptimWrapper' needs; set optim_wrapper.type: 'OptimWrapper'",
        );
        return;
      }
      const wanted = await (await cpu.compile(program)).run(feeds);
      for (const key of Object.keys(wanted)) t.ok(relativeError(floats(found[key]), floats(wanted[key])) < 5e-3, key);
    },
  );

  await t.test('attention of many queries, and sin and cos of large angles', async (t) => {
    const q = input('q', [2, 64, 40]),
      kv = input('kv', [2, 77, 40]),
      x = input('x', [2001]);
    const program = { name: 'larger', outputs: { attention: attention(q, kv, kv, 5, 0.35), sin: sin(x), cos: cos(x) } };
    const feeds = {
      q: wave([2, 64, 40]),
      kv: wave([2, 77, 40], 5),
      x: float32(
        Float32Array.from({ length: 2001 }, (_, i) => i - 999.63),
        [2001],
      ),
    };
    const [got, wanted] = [
      await (await gpu.compile(program)).run(feeds),
      await (await cpu.compile(program)).run(feeds),
    ];
    for (const key of Object.keys(program.outputs)) {
      const error = relativeError(floats(got[key]), floats(wanted[key]));
      t.ok(error < 2e-6, `${key}: ${error}`);
    }
  });

  await t.test(
    'states stay on the device, are shared by programs, change places, and are read back as written',
    async (t) => {
      const [a, b] = [state('a', [2]), state('b', [2])];
      await gpu.states.write('a', float32([1, 5], [2]));
      await gpu.states.write('b', float32([3, 4], [2]));
      const step = await gpu.compile({
        name: 'step',
        outputs: { before: sum(a), fed: input('by', []) },
        updates: { a: add(b, input('by', [])), b: a },
      });
      const twice = await gpu.compile({ name: 'twice', outputs: { a: mul(a, 2), b } });
      t.strictSame(
        [
          floats((await step.run({ by: scalar(10) })).before)[0],
          floats((await step.run({ by: scalar(100) })).before)[0],
        ],
        [6, 27],
      );
      const { a: doubled, b: same } = await twice.run({});
      t.strictSame([...floats(doubled), ...floats(same)], [202, 210, 13, 14]);
      t.strictSame(await gpu.states.read('a'), float32([101, 105], [2]));
      await gpu.states.delete('a');
      await t.rejects(gpu.states.read('a'), { message: /state "a" was never written/ });
      const values = [
        { dtype: 'float16', shape: [2], data: Uint16Array.of(0x3e00, 0xc000) },
        { dtype: 'int64', shape: [2], data: BigInt64Array.of(-3n, 2n ** 31n) },
        { dtype: 'int32', shape: [1, 2], data: Int32Array.of(-3, 4) },
        { dtype: 'uint8', shape: [3], data: Uint8Array.of(0, 1, 255) },
        { dtype: 'bool', shape: [2], data: Uint8Array.of(0, 1) },
      ] as const satisfies HostTensor[];
      for (const value of values) {
        await gpu.states.write('y', value);
        t.strictSame(await gpu.states.read('y'), value, value.dtype);
      }
    },
  );

  await t.test('weights come from files, in 32 and 16 bits', async (t) => {
    const file = join(t.testdir(), 'weights.bin');
    await writeFile(
      file,
      Buffer.concat([
        Buffer.alloc(3),
        Buffer.from(Float32Array.of(7, -8).buffer),
        Buffer.from(Uint16Array.of(0x3e00, 0xc000).buffer),
      ]),
    );
    const wide = weight({ key: 'f32', file, offset: 3, bytes: 8 }, { dtype: 'float32', shape: [2] });
    const narrow = weight({ key: 'f16', file, offset: 11, bytes: 4 }, { dtype: 'float16', shape: [2] });
    const program = await gpu.compile({
      name: 'weights',
      outputs: { y: mul(wide, input('x', [])), z: mul(cast(narrow, 'float32'), input('x', [])) },
    });
    const { y, z } = await program.run({ x: scalar(2) });
    t.strictSame([...floats(y), ...floats(z)], [14, -16, 3, -4]);
  });

  await loadComponents();
  const build = createBuild([[LOGGER, new Lines()]]),
    LORA = { type: 'LoRA', r: 2, lora_alpha: 2, target_modules: ['to_q', 'to_v', 'conv1'] };
  const feeds: Record<string, HostTensor> = {
    noisy_latents: wave([1, 4, 8, 8]),
    target: wave([1, 4, 8, 8], 7),
    timesteps: float32([700], [1]),
    weights: float32([1], [1]),
    encoder_hidden_states: wave([1, 77, 32], 3),
  };
  /** Losses and gradient norms of a run, and the weights that it ends with. */
  const train = async (
    backend: Backend,
    options: object,
    steps: number,
  ): Promise<{ logs: number[][]; weights: Float32Array }> => {
    const model = build(MODELS, { type: 'StableDiffusion', model: TINY, ...options }) as Model;
    await model.load();
    const parameters = new Parameters(model.parameters());
    const step = new TrainStep({
      model,
      backend,
      parameters,
      optimizer: new AdamW({ lr: 1e-2, betas: [0.9, 0.999], eps: 1e-2, weight_decay: 0.01 }),
      clipMaxNorm: 0.5,
      accumulativeCounts: 1,
      maxIters: steps,
    });
    await step.init(await model.initialValues(new Rng(0)));
    const logs: number[][] = [];
    for (let iteration = 0; iteration < steps; iteration++) {
      const { loss, grad_norm } = await step.run(feeds, { iteration, lr: 1e-2 });
      logs.push([loss, grad_norm]);
    }
    const values = Object.values(await parameters.read(backend.states, 'params')).map(floats);
    await step.dispose();
    return { logs, weights: Float32Array.from(values.flatMap((v) => [...v])) };
  };
  for (const [training, options, steps] of [
    ['LoRA', { unet_lora_config: LORA }, 4],
    ['all of the U-Net', {}, 2],
  ] as const) {
    await t.test(
      `training ${training}: forward, backward, clipping and AdamW give the losses and weights of the CPU`,
      async (t) => {
        const [got, wanted] = [await train(gpu, options, steps), await train(cpu, options, steps)];
        t.ok(wanted.logs[steps - 1][0] < wanted.logs[0][0], `it learns: ${wanted.logs}`);
        for (const [i, logs] of wanted.logs.entries())
          for (const k of [0, 1]) {
            const error = Math.abs(got.logs[i][k] - logs[k]) / logs[k];
            t.ok(error < 1e-4, `step ${i}: ${['loss', 'gradient norm'][k]} ${got.logs[i][k]} for ${logs[k]}`);
          }
        const error = relativeError(got.weights, wanted.weights);
        t.ok(error < 1e-4, `weights differ by ${error}`);
      },
    );
  }
});
