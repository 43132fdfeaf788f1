/** Whole pipelines from recorded start latents, adapters as PEFT and diffusers saved them, and files of other formats. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Executor } from '../../src/backends/executor.js';
import { UserError } from '../../src/base/errors.js';
import { studentKeys, type BlockRemoval } from '../../src/models/block-removal.js';
import { clipText } from '../../src/networks/clip-text.js';
import { DiffusionPipeline } from '../../src/sampling/diffusion-pipeline.js';
import { Scope, type ParamSource } from '../../src/networks/layers/scope.js';
import { loadAdapter } from '../../src/adapters/load-adapter.js';
import { adaptedSource, type AdapterValues } from '../../src/adapters/network-adapter.js';
import { recorded, recordText } from '../../src/networks/record.js';
import { unet } from '../../src/networks/unet.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { openTorchBins } from '../../src/formats/torch-bin/torch-bin.js';
import { float32, floats, type HostTensor } from '../../src/tensor/host.js';
import { input } from '../../src/tensor/tensor.js';
import { readPythonJson, toInt32, toNumbers, type Golden } from './context.js';
import { LIMITS } from './limits.js';
import { evaluate } from './networks.js';

interface PipelineRun {
  readonly scheduler: string;
  readonly steps: number;
  readonly guidance_scale: number;
  readonly prompt: string;
  readonly negative_prompt: string;
}

export async function checkPipeline(golden: Golden, file: string): Promise<void> {
  const reference = await golden.reference(file),
    { runs } = golden.meta<{ runs: Record<string, PipelineRun> }>(file);
  const [net, vae, text] = [await golden.unet('base'), await golden.vae(), await golden.text()];
  // The runs were made from a config without timestep_spacing: each class then uses its own default.
  const { timestep_spacing: _spacing, ...schedulerConfig } = golden.schedulerConfig();
  const folder = {
    path: golden.folder,
    unetConfig: net.config,
    vaeConfig: vae.config,
    textConfig: text.config,
    schedulerConfig,
    tokenizer: await golden.tokenizer(),
    unet: net.source,
    vae: vae.source,
    text: text.source,
  };
  const silent = { info: () => {}, warn: () => {}, debug: () => {} };
  const pipeline = new DiffusionPipeline(folder, { unet: () => net.source, text: () => text.source }, true, silent);
  const executor = new Executor(golden.backend, (outputs) => [...outputs]);
  for (const [key, run] of Object.entries(runs)) {
    const prefix = key.replace(/\/$/, ''),
      path: number[] = [];
    const own = `${prefix}/initial_latents`,
      recordedStart = await reference.read(reference.entries.has(own) ? own : 'initial_latents');
    const latents = await pipeline.denoise(executor, {
      prompt: run.prompt,
      negative: run.negative_prompt,
      steps: run.steps,
      guidance: run.guidance_scale,
      scheduler: run.scheduler,
      weights: 'base',
      start: float32(floats(recordedStart), recordedStart.shape.slice(1)),
      noise: () => {
        throw new Error('the reference pipelines draw no noise');
      },
      onStep: (_, x) => path.push(...x),
    });
    golden.report.rel(
      `${prefix}/latents_after_step`,
      path,
      floats(await reference.read(`${prefix}/latents_after_step`)),
      LIMITS.pipelineLatents,
    );
    golden.report.rel(
      `${prefix}/latents`,
      floats(latents as HostTensor),
      floats(await reference.read(`${prefix}/latents`)),
      LIMITS.pipelineLatents,
    );
    const picture = `${prefix}/image_0to1_NCHW`;
    if (reference.entries.has(picture))
      golden.report.abs(
        picture,
        floats(await pipeline.decode(executor, latents as HostTensor)),
        floats(await reference.read(picture)),
        LIMITS.pipelineImage,
      );
  }
  await executor.dispose();
}

/** Names are `<adapter>.<how>/<what>[_scaleS]`: base, peft (the saved PEFT folders), diffusers_loaded (the diffusers file). */
export async function checkAdapters(golden: Golden, file: string): Promise<void> {
  const reference = await golden.reference(file),
    net = await golden.unet('base'),
    text = await golden.text();
  const shapes = { unet: net.shapes, text_encoder: recorded((s) => recordText(s, text.config)) };
  const feeds = {
    sample: await reference.read('sample'),
    timesteps: float32(toNumbers(await reference.read('timesteps')), [(await reference.read('timesteps')).data.length]),
    text: await reference.read('encoder_hidden_states'),
    ids: toInt32(await reference.read('input_ids')),
  };
  for (const name of [...reference.entries.keys()].filter((n) => n.includes('/'))) {
    const match = /^(r\d+)[^.]*\.(\w+)\/(unet_out|text_last_hidden_state)(?:_scale([\d.]+))?$/.exec(name);
    const adapter =
      match && (match[2] === 'base' ? {} : await openAdapter(golden, name.split('.')[0], match[1], match[2], shapes));
    if (!match || !adapter) {
      golden.report.missing(name);
      continue;
    }
    const strength = Number(match[4] ?? 1),
      isUnet = match[3] === 'unet_out';
    const source = (base: ParamSource, values?: AdapterValues): Scope =>
      new Scope(values ? adaptedSource(base, values, strength) : base);
    const out = isUnet
      ? unet(
          source(net.source, adapter.unet),
          {
            sample: input('sample', feeds.sample.shape),
            timesteps: input('timesteps', feeds.timesteps.shape),
            encoderHiddenStates: input('text', feeds.text.shape),
          },
          net.config,
        ).out
      : clipText(source(text.source, adapter.text_encoder), input('ids', feeds.ids.shape, 'int32'), text.config)
          .lastHiddenState;
    const results = await evaluate(golden, file, { out }, feeds);
    golden.report.rel(name, floats(results['out']), floats(await reference.read(name)), LIMITS.network);
  }
}

type Shapes = Parameters<typeof loadAdapter>[1];

async function openAdapter(
  golden: Golden,
  adapter: string,
  rank: string,
  how: string,
  shapes: Shapes,
): Promise<Awaited<ReturnType<typeof loadAdapter>> | undefined> {
  const folder = how === 'peft' ? golden.find(`peft_adapter_${adapter}`) : golden.find(`diffusers_lora_${rank}`);
  return folder === undefined ? undefined : loadAdapter(folder, shapes);
}

/** PyTorch's own files: equal bits, and a refusal by name. */
export async function checkTorchBin(golden: Golden): Promise<void> {
  const folder = join(golden.folder, 'pytorch-bin'),
    expected = await openSafetensors(join(folder, 'expected.safetensors'));
  const unetFolder = join(folder, 'unet'),
    file = readdirSync(unetFolder).find((n) => n.endsWith('.bin')) as string;
  const bins = await openTorchBins([join(unetFolder, file)]);
  const bytes = (t: HostTensor): string =>
    Buffer.from(t.data.buffer, t.data.byteOffset, t.data.byteLength).toString('base64');
  for (const name of expected.entries.keys()) {
    const [got, wanted] = [await bins.read(name), await expected.read(name)];
    golden.report.exact(name, [got.dtype, got.shape, bytes(got)], [wanted.dtype, wanted.shape, bytes(wanted)]);
  }
  const refusal = await openTorchBins([join(folder, 'malicious.bin')]).then(
    () => 'opened',
    (error: unknown) => (error instanceof UserError ? 'refused' : String(error)),
  );
  golden.report.exact('malicious.bin', refusal, 'refused');
}

/** Key maps of block removal. */
export async function checkBlockRemoval(golden: Golden): Promise<void> {
  const { maps } = readPythonJson(join(golden.folder, 'block_removal.json')) as unknown as {
    maps: Record<string, { teacher_to_student: Record<string, string>; teacher_keys_dropped: string[] }>;
  };
  const teacher = (await golden.unet('base')).source.weights.entries.keys();
  const keys = [...teacher].sort(),
    sorted = (o: Record<string, string>): [string, string][] => Object.entries(o).sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [kind, map] of Object.entries(maps)) {
    const { teacherToStudent, dropped } = studentKeys(keys, kind as BlockRemoval);
    golden.report.exact(`${kind} map`, sorted(Object.fromEntries(teacherToStudent)), sorted(map.teacher_to_student));
    golden.report.exact(`${kind} dropped`, [...dropped].sort(), [...map.teacher_keys_dropped].sort());
  }
}
