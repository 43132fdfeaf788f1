import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { OnnxRuntimeBackend } from '../../src/backends/onnxruntime/onnxruntime-backend.js';
import { UserError } from '../../src/base/errors.js';
import { clipText, parseClipTextConfig, type ClipTextConfig } from '../../src/networks/clip-text.js';
import type { RawConfig } from '../../src/networks/component-config.js';
import { FrozenSource } from '../../src/formats/frozen-source.js';
import { Scope, type ParamSource } from '../../src/networks/layers/scope.js';
import { exportAdapter } from '../../src/adapters/export.js';
import { loadAdapter, loadAdapterFor } from '../../src/adapters/load-adapter.js';
import { architectureHash } from '../../src/adapters/base-record.js';
import { saveDiffusers } from '../../src/adapters/diffusers-lora.js';
import { saveKohya } from '../../src/adapters/kohya.js';
import { A, B, LoraModule } from '../../src/adapters/lora.js';
import { writeMerged } from '../../src/adapters/merge.js';
import { mergedWeight } from '../../src/adapters/merged-weight.js';
import {
  adaptedSource,
  NetworkAdapter,
  parameterName,
  type AdapterValues,
} from '../../src/adapters/network-adapter.js';
import type { PartValues } from '../../src/adapters/parts.js';
import { savePeft } from '../../src/adapters/peft.js';
import { adaptableModules, targetedModules, type Targets } from '../../src/adapters/targets.js';
import { openPipeline } from '../../src/formats/pipeline/pipeline-folder.js';
import { recorded, recordText, recordUnet } from '../../src/networks/record.js';
import { unet } from '../../src/networks/unet.js';
import { parseUNetConfig, type UNetConfig } from '../../src/networks/unet-config.js';
import { openSafetensors, writeSafetensors } from '../../src/formats/safetensors/safetensors.js';
import type { WeightFile } from '../../src/formats/weight-file.js';
import { Rng } from '../../src/base/rng.js';
import { float32, floats, int32, sizeOf, type HostTensor, type Shape } from '../../src/tensor/host.js';
import { input, type Tensor } from '../../src/tensor/tensor.js';
import { golden, relativeError, skipGolden } from '../golden.js';
import { buildKind } from './build-kind.js';

const json = async (path: string): Promise<RawConfig> => JSON.parse(await readFile(path, 'utf8')) as RawConfig;
const attention = { r: 4, lora_alpha: 4, target_modules: ['to_q', 'to_k', 'to_v', 'to_out.0'] };
const small = new Map<string, Shape>([
  ['conv_in.weight', [6, 4, 3, 3]],
  ['conv_in.bias', [6]],
  ['time_embedding.linear_1.weight', [8, 6]],
  ['block.norm.weight', [6]],
  ['block.attn1.to_q.weight', [6, 6]],
  ['block.attn2.to_q.weight', [6, 10]],
  ['block.attn2.to_out.0.weight', [6, 6]],
  ['embeddings.token_embedding.weight', [50, 6]],
]);
const modules = adaptableModules(small);
const chosen = (targets: Targets): string[] => targetedModules(targets, modules, 'lora');

void t.test('linear layers and convolutions can be adapted, norms and embedding tables not', (t) => {
  t.same(
    [...modules.keys()],
    ['conv_in', 'time_embedding.linear_1', 'block.attn1.to_q', 'block.attn2.to_q', 'block.attn2.to_out.0'],
  );
  t.end();
});

void t.test('a list of targets fits ends of module names at a dot, a string the whole name', (t) => {
  t.same(chosen(['to_q']), ['block.attn1.to_q', 'block.attn2.to_q']);
  t.same(chosen(['to_out.0', 'conv_in']), ['conv_in', 'block.attn2.to_out.0']);
  t.same(chosen('.*attn2.*'), ['block.attn2.to_q', 'block.attn2.to_out.0']);
  t.throws(() => chosen(['o_q']), UserError);
  t.end();
});

void t.test('a target that fits nothing is an error with the nearest name', (t) => {
  t.throws(
    () => chosen(['to_q', 'to_ot.0']),
    new UserError('lora.target_modules: "to_ot.0" names no linear or convolution module; did you mean "to_out.0"?'),
  );
  t.throws(() => chosen('attn2'), /"attn2" names no/);
  t.throws(() => chosen('('), /lora\.target_modules: Invalid regular expression/);
  t.end();
});

void t.test('shapes and scale follow r, lora_alpha, use_rslora and the patterns', (t) => {
  const module = (name: string, config: Record<string, unknown> = {}): LoraModule =>
    buildKind('LoRA', { r: 4, lora_alpha: 8, ...config }).module(
      name,
      modules.get(name) as Shape,
      'lora',
    ) as LoraModule;
  const to_q = module('block.attn2.to_q');
  t.same(
    [...to_q.parts],
    [
      ['lora_A.weight', [4, 10]],
      ['lora_B.weight', [6, 4]],
    ],
  );
  t.equal(to_q.settings.scale, 2);
  t.same(
    [...module('conv_in').parts.values()],
    [
      [4, 4, 3, 3],
      [6, 4, 1, 1],
    ],
  );
  t.equal(module('conv_in', { use_rslora: true }).settings.scale, 4);
  const patterns = { rank_pattern: { 'attn2.to_q': 2 }, alpha_pattern: { 'attn[12].to_q': 1, conv_in: 2 } };
  t.same(
    ['conv_in', 'block.attn1.to_q', 'block.attn2.to_q'].map((name) => {
      const { rank, scale } = module(name, patterns).settings;
      return [name, rank, scale];
    }),
    [
      ['conv_in', 4, 0.5],
      ['block.attn1.to_q', 4, 0.25],
      ['block.attn2.to_q', 2, 0.5],
    ],
  );
  t.end();
});

void t.test(
  'training starts as in PEFT: B zero, A uniform within 1/sqrt(fan in) or normal with deviation 1/r',
  async (t) => {
    const shapes = new Map<string, Shape>([
      ['linear_1.weight', [8, 400]],
      ['conv_in.weight', [8, 25, 4, 4]],
    ]);
    const start = (seed: number, init: unknown): Promise<Record<string, HostTensor>> =>
      new NetworkAdapter(
        buildKind('LoRA', { r: 4, target_modules: ['linear_1', 'conv_in'], init_lora_weights: init }),
        'unet',
        shapes,
        'lora',
      ).start(new Rng(seed), () => Promise.reject(new Error('reads no weight')));
    const a = async (seed: number, init: unknown, module: string): Promise<Float32Array> =>
      floats((await start(seed, init))[parameterName('unet', module, A)]);
    const deviation = (v: Float32Array): number => Math.sqrt(v.reduce((s, x) => s + x * x, 0) / v.length);
    for (const module of ['linear_1', 'conv_in']) {
      const uniform = await a(1, true, module),
        top = uniform.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
      t.ok(top <= 0.05 && top > 0.0495, `${module}: largest ${top}`); // 1 / sqrt(400)
      t.ok(Math.abs(deviation(uniform) / (0.05 / Math.sqrt(3)) - 1) < 0.05);
      t.ok(Math.abs(deviation(await a(1, 'gaussian', module)) / 0.25 - 1) < 0.05);
    }
    t.same(await a(1, true, 'linear_1'), await a(1, true, 'linear_1'));
    t.not((await a(1, true, 'linear_1'))[0], (await a(2, true, 'linear_1'))[0]);
    t.ok(floats((await start(1, true))['unet.conv_in.lora_B.weight']).every((v) => v === 0));
  },
);

void t.test('merging adds scale * B A and keeps the dtype of the weight', async (t) => {
  const trained = (shape: Shape, a: number[], b: number[], scale: number) => {
    const adapter = new LoraModule(shape, { rank: 1, scale });
    return {
      adapter,
      values: { [A]: float32(a, adapter.parts.get(A) as Shape), [B]: float32(b, adapter.parts.get(B) as Shape) },
    };
  };
  const pair = trained([2, 3], [1, 2, 3], [10, 100], 0.5);
  t.same(mergedWeight(float32([1, 1, 1, 2, 2, 2], [2, 3]), pair).data, Float32Array.from([6, 11, 16, 52, 102, 152]));
  const words = Uint16Array.from([0x3c00, 0x3c00, 0x3c00, 0x4000, 0x4000, 0x4000]);
  t.same(mergedWeight({ dtype: 'float16', shape: [2, 3], data: words }, pair), {
    dtype: 'float16',
    shape: [2, 3],
    data: Uint16Array.from([0x4600, 0x4980, 0x4c00, 0x5280, 0x5660, 0x58c0]),
  });
  const conv = trained([1, 1, 2, 2], [1, 2, 3, 4], [1], 2);
  t.same(mergedWeight(float32([0, 0, 0, 1], [1, 1, 2, 2]), conv), float32([2, 4, 6, 9], [1, 1, 2, 2]));
});

/** Both networks of the golden pipeline. */
async function base() {
  const unetConfig = parseUNetConfig(await json(golden('tiny-sd-random/unet/config.json')), 'unet');
  const textConfig = parseClipTextConfig(await json(golden('tiny-sd-random/text_encoder/config.json')), 'text_encoder');
  return {
    unetConfig,
    textConfig,
    parameters: {
      unet: recorded((s) => recordUnet(s, unetConfig)),
      text_encoder: recorded((s) => recordText(s, textConfig)),
    },
    unet: await openSafetensors(golden('tiny-sd-random/unet/diffusion_pytorch_model.safetensors')),
    text: await openSafetensors(golden('tiny-sd-random/text_encoder/model.safetensors')),
  };
}
const record = { model: 'tiny-sd-random', fingerprint: 'f00d' };
const bytes = ({ data }: HostTensor): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
/** Deep comparison of large arrays is slow in tap. */
const identical = (a: HostTensor | undefined, b: HostTensor): boolean =>
  a?.dtype === b.dtype && String(a.shape) === String(b.shape) && bytes(a).equals(bytes(b));
const equalPairs = (t: Test, actual: AdapterValues | undefined, expected: AdapterValues | undefined): void => {
  t.same([...(actual?.keys() ?? [])].sort(), [...(expected?.keys() ?? [])].sort());
  const differing = [...(expected ?? [])].filter(([module, { adapter, values }]) => {
    const found = actual?.get(module);
    const scale = (of: unknown): unknown => (of as LoraModule | undefined)?.settings.scale;
    return (
      scale(found?.adapter) !== scale(adapter) ||
      Object.entries(values).some(([part, value]) => !identical(found?.values[part], value))
    );
  });
  t.same(
    differing.map(([module]) => module),
    [],
  );
};

void t.test(
  'the modules that diffusers adapts in full-size U-Nets are found, with its parameter counts',
  { skip: skipGolden },
  async (t) => {
    const configs = (await json(golden('unet_configs.json'))) as Record<string, RawConfig>;
    const { counts } = (await json(golden('param_counts.json'))) as { counts: Record<string, Record<string, number>> };
    const segmind = configs['segmind'] as Record<string, RawConfig>;
    const cases: [string, RawConfig][] = [
      ['sd-v1.4/v1.5 unet', configs['sd_v1']],
      ['sd-v2.1 unet', configs['sd_v2_1']],
      ['segmind/small-sd unet', segmind['segmind/small-sd unet']],
      ['segmind/tiny-sd unet', segmind['segmind/tiny-sd unet']],
    ];
    for (const [name, config] of cases) {
      const own = recorded((s) => recordUnet(s, parseUNetConfig(config, name)));
      for (const r of [4, 8, 16]) {
        const shapes = new NetworkAdapter(buildKind('LoRA', { ...attention, r }), 'unet', own, name).parameters;
        t.equal(shapes.size, 2 * counts[name]['attention_linears(to_q,k,v,out)']);
        t.equal(
          [...shapes.values()].reduce((n, s) => n + sizeOf(s), 0),
          counts[name][`lora_params_r${r}`],
          `${name} r=${r}`,
        );
      }
    }
  },
);

void t.test('a PEFT adapter that is loaded and saved is the same adapter', { skip: skipGolden }, async (t) => {
  const { parameters } = await base(),
    dir = t.testdir();
  for (const [adapter, r, alpha] of [
    ['peft_adapter_r4_a4', 4, 4],
    ['peft_adapter_r8_a16', 8, 16],
  ] as const) {
    const loaded = await loadAdapter(golden(adapter), parameters);
    for (const part of ['unet', 'text_encoder'] as const) {
      const targets = part === 'text_encoder' ? ['q_proj', 'k_proj', 'v_proj', 'out_proj'] : attention.target_modules;
      const kind = buildKind('LoRA', { r, lora_alpha: alpha, target_modules: targets });
      const description = { peftType: kind.peftType, options: kind.peftOptions(), targets };
      // PEFT 0.8 wrote these, with a transformers of that time.
      const libraries = 'transformers<5.6';
      await savePeft(join(dir, adapter, part), part, description, loaded[part] as AdapterValues, record, libraries);

      const [ours, theirs] = await Promise.all(
        [join(dir, adapter, part), golden(adapter, part)].map((d) =>
          openSafetensors(join(d, 'adapter_model.safetensors')),
        ),
      );
      t.same([...ours.entries.keys()], [...theirs.entries.keys()]);
      for (const key of theirs.entries.keys())
        if (!identical(await ours.read(key), await theirs.read(key))) t.fail(key);
      const sorted = (raw: RawConfig): RawConfig => ({
        ...raw,
        target_modules: [...(raw['target_modules'] as string[])].sort(),
        base_model_name_or_path: 'tiny-sd-random',
      });
      const [saved, peft] = [
        await json(join(dir, adapter, part, 'adapter_config.json')),
        await json(golden(adapter, part, 'adapter_config.json')),
      ];
      t.equal(saved['base_model_name_or_path'], 'tiny-sd-random');
      delete (saved as Record<string, unknown>)['use_dora']; // younger than PEFT 0.8
      t.match(sorted(peft), sorted(saved), 'every field that we write has the value that PEFT writes');
    }
    const again = await loadAdapter(join(dir, adapter), parameters, record);
    equalPairs(t, again.unet, loaded.unet);
    equalPairs(t, again.text_encoder, loaded.text_encoder);
  }
});

void t.test(
  'diffusers and kohya files hold the same adapter as PEFT, in every form',
  { skip: skipGolden },
  async (t) => {
    const { parameters } = await base(),
      dir = t.testdir();
    const r4 = await loadAdapter(golden('peft_adapter_r4_a4'), parameters);
    const same = async (path: string, expected: PartValues): Promise<void> => {
      const loaded = await loadAdapter(path, parameters);
      equalPairs(t, loaded.unet, expected.unet);
      equalPairs(t, loaded.text_encoder, expected.text_encoder);
    };
    await same(golden('diffusers_lora_r4'), r4);
    await same(golden('diffusers_lora_r4/pytorch_lora_weights.safetensors'), r4);
    await saveDiffusers(join(dir, 'diffusers.safetensors'), r4, record);
    await same(join(dir, 'diffusers.safetensors'), r4);
    const r8 = await loadAdapter(golden('peft_adapter_r8_a16'), parameters);
    await saveKohya(join(dir, 'kohya.safetensors'), r8, record);
    await same(join(dir, 'kohya.safetensors'), r8);
    t.equal(
      (await openSafetensors(join(dir, 'kohya.safetensors'))).entries.get(
        'lora_te_text_model_encoder_layers_0_self_attn_q_proj.alpha',
      )?.bytes,
      4,
    );

    // diffusers' files hold no alpha: B is twice as large instead.
    await saveDiffusers(join(dir, 'folded.safetensors'), r8, record);
    const folded = await loadAdapter(join(dir, 'folded.safetensors'), parameters);
    const [[module, pair]] = r8.unet as AdapterValues;
    t.equal((folded.unet?.get(module)?.adapter as LoraModule).settings.scale, 1);
    t.same(
      folded.unet?.get(module)?.values[B].data,
      floats(pair.values[B]).map((v) => 2 * v),
    );
  },
);

void t.test(
  'an adapter of any origin can be exported to PEFT, with patterns for modules that differ',
  { skip: skipGolden },
  async (t) => {
    const pipeline = await openPipeline(golden('tiny-sd-random')),
      dir = t.testdir();
    const fitted = await loadAdapterFor(pipeline, 'tiny-sd-random', golden('diffusers_lora_r4'));
    const [[first, pair], ...rest] = fitted.values.unet as AdapterValues;
    const [a, b] = [pair.values[A], pair.values[B]];
    const odd = {
      adapter: new LoraModule(pair.adapter.shape, { rank: 2, scale: 3 }),
      values: {
        [A]: float32(floats(a).slice(0, 2 * a.shape[1]), [2, a.shape[1]]),
        [B]: float32(floats(b).slice(0, 2 * b.shape[0]), [b.shape[0], 2]),
      },
    };
    const values = { unet: new Map([[first, odd], ...rest]), text_encoder: fitted.values.text_encoder };
    await exportAdapter({ ...fitted, values }, 'peft', dir);
    const config = await json(join(dir, 'unet/adapter_config.json'));
    t.match(config, { r: 4, lora_alpha: 4, rank_pattern: { [first]: 2 }, alpha_pattern: { [first]: 6 } });
    const again = await loadAdapterFor(pipeline, 'tiny-sd-random', dir);
    equalPairs(t, again.values.unet, values.unet);
    equalPairs(t, again.values.text_encoder, values.text_encoder);
    for (const format of ['diffusers', 'kohya'] as const) {
      await exportAdapter(fitted, format, join(dir, 'a.safetensors'));
      equalPairs(
        t,
        (await loadAdapterFor(pipeline, 'tiny-sd-random', join(dir, 'a.safetensors'))).values.unet,
        fitted.values.unet,
      );
    }
  },
);

void t.test('older and newer keys of diffusers and PEFT are known', { skip: skipGolden }, async (t) => {
  const { parameters } = await base(),
    dir = t.testdir();
  const module = 'down_blocks.0.attentions.0.transformer_blocks.0.attn1',
    one = (v: number, shape: Shape): HostTensor => float32(new Float32Array(sizeOf(shape)).fill(v), shape);
  const a = one(1, [2, 16]),
    b = one(2, [16, 2]);
  const scaleOf = (of: PartValues, name: string): number => (of.unet?.get(name)?.adapter as LoraModule).settings.scale;
  const load = async (tensors: Record<string, HostTensor>, metadata = {}): Promise<PartValues> => {
    await writeSafetensors(join(dir, 'a.safetensors'), tensors, metadata);
    return loadAdapter(join(dir, 'a.safetensors'), parameters);
  };
  const processor = await load({
    [`${module}.processor.to_out_lora.down.weight`]: a,
    [`${module}.processor.to_out_lora.up.weight`]: b,
  });
  t.same([...(processor.unet?.keys() ?? [])], [`${module}.to_out.0`]);
  const alpha = await load({
    [`unet.${module}.to_q.lora_A.weight`]: a,
    [`unet.${module}.to_q.lora_B.weight`]: b,
    [`unet.${module}.to_q.alpha`]: float32([1], []),
  });
  t.equal(scaleOf(alpha, `${module}.to_q`), 0.5);
  const config = { 'unet.r': 2, 'unet.lora_alpha': 6, 'unet.target_modules': ['to_q'], 'unet.rank_pattern': {} };
  const described = await load(
    { [`unet.${module}.to_q.lora_A.weight`]: a, [`unet.${module}.to_q.lora_B.weight`]: b },
    { lora_adapter_metadata: JSON.stringify(config) },
  );
  t.equal(scaleOf(described, `${module}.to_q`), 3);

  await mkdir(join(dir, 'peft'));
  await writeFile(
    join(dir, 'peft/adapter_config.json'),
    JSON.stringify({
      peft_type: 'LORA',
      r: 2,
      lora_alpha: 2,
      target_modules: `${module}.to_q`,
      lora_dropout: 0.1,
      use_dora: false,
      corda_config: null,
    }),
  );
  await writeSafetensors(join(dir, 'peft/adapter_model.safetensors'), {
    [`base_model.model.${module}.to_q.lora_A.default.weight`]: a,
    [`base_model.model.${module}.to_q.lora_B.default.weight`]: b,
  });
  t.same([...((await loadAdapter(join(dir, 'peft'), parameters)).unet?.keys() ?? [])], [`${module}.to_q`]);
});

void t.test('an adapter that does not fit is refused with what does not fit', { skip: skipGolden }, async (t) => {
  const { parameters } = await base(),
    dir = t.testdir();
  const fails = async (tensors: Record<string, HostTensor>, message: RegExp, metadata = {}): Promise<void> => {
    await writeSafetensors(join(dir, 'a.safetensors'), tensors, metadata);
    await t.rejects(loadAdapter(join(dir, 'a.safetensors'), parameters, record), { name: 'UserError', message });
  };
  const module = 'mid_block.attentions.0.transformer_blocks.0.attn1.to_q',
    a = float32(new Float32Array(64), [2, 32]),
    b = float32(new Float32Array(64), [32, 2]);
  await fails({ 'unet.block.lora_A.weight': a }, /"unet\.block\.lora_A\.weight" fits no module of this model/);
  await fails({ [`unet.${module}.ia3_l`]: a }, /key "unet\.mid.*ia3_l" is not of a diffusers or kohya LoRA/);
  await fails({ lora_unet_block_to_q: a }, /"lora_unet_block_to_q" fits no module of this model/);
  await fails({ [`unet.${module}.lora_A.weight`]: a }, /has only one of its two matrices/);
  await fails(
    { [`unet.${module}.lora_A.weight`]: b, [`unet.${module}.lora_B.weight`]: a },
    /lora_A\.weight has shape \[32,2\], this model needs \[32,32\]/,
  );
  await fails(
    { [`unet.${module}.lora_A.weight`]: a, [`unet.${module}.lora_B.weight`]: b },
    /trained on "other-sd" \(weights beef\), not on "tiny-sd-random" \(weights f00d\)/,
    { base_model: 'other-sd', base_fingerprint: 'beef' },
  );
  await t.rejects(loadAdapter(join(dir, 'nothing'), parameters), /nothing: cannot be read \(ENOENT\)/);
  await t.rejects(loadAdapter(golden('tiny-sd-random'), parameters), /no adapter; looked for adapter_config\.json/);
  await t.rejects(
    loadAdapter(golden('peft_adapter_r4_a4/unet'), { ...parameters, unet: small }),
    /fits no module of this model; the adapter is for another base model/,
  );

  const peft = async (
    change: Record<string, unknown>,
    message: RegExp,
    metadata: Record<string, string> = {},
  ): Promise<void> => {
    const config = { ...(await json(golden('peft_adapter_r4_a4/unet/adapter_config.json'))), ...change };
    const weights = await openSafetensors(golden('peft_adapter_r4_a4/unet/adapter_model.safetensors'));
    const tensors = await Promise.all(
      [...weights.entries.keys()].map(async (k) => [k, await weights.read(k)] as const),
    );
    await mkdir(join(dir, 'peft'), { recursive: true });
    await writeFile(join(dir, 'peft/adapter_config.json'), JSON.stringify(config));
    await writeSafetensors(join(dir, 'peft/adapter_model.safetensors'), Object.fromEntries(tensors), metadata);
    await t.rejects(loadAdapter(join(dir, 'peft'), parameters, record), { name: 'UserError', message });
  };
  await peft({ peft_type: 'BOFT' }, /peft_type = "BOFT" is not supported; supported: "LOHA", "LOKR", "LORA", "OFT"/);
  await peft({ target_modules: 5 }, /adapter_config\.json\.target_modules: expected array or string or null, got 5/);
  await peft({ bias: 'all' }, /bias = "all" is not supported/);
  await peft({ use_dora: true }, /has no lora_magnitude_vector; save the adapter again/);
  await peft({ lora_bias: true }, /lora_bias = true is not supported/);
  await peft({ init_lora_weights: 'pissa_niter_4' }, /init_lora_weights = "pissa_niter_4" is not supported/);
  await peft(
    { r: 8 },
    /lora_A\.weight of "down_blocks\.0\..*" has shape \[4,16\], this model and adapter_config\.json need \[8,16\]/,
  );
  await peft({ r: null }, /"r" is missing/);
  await peft(
    { target_modules: ['to_q', 'to_k'] },
    /holds weights of "down_blocks\.0\..*\.to_out\.0", which target_modules of .* does not name/,
  );
  await peft(
    { target_modules: ['to_q', 'to_k', 'to_v', 'to_out.0', 'proj_in'] },
    /nothing for module "down_blocks\.0\.attentions\.0\.proj_in"/,
  );
  await peft({}, /trained on "wide-sd", whose network has other parameters than that of "tiny-sd-random"/, {
    base_model: 'wide-sd',
    base_fingerprint: 'f00d',
    base_architecture: architectureHash(small),
  });
});

/** Runs both golden networks on the inputs of the adapter references. */
async function networks(t: Test) {
  const numbers = await openSafetensors(golden('reference/adapters.safetensors'));
  const backend = new OnnxRuntimeBackend({
    device: 'cpu',
    intra_op_num_threads: 0,
    graph_optimization_level: 'extended',
    scratch_dir: null,
  });
  t.teardown(() => backend.dispose());
  const whole = async (name: string): Promise<number[]> =>
    Array.from((await numbers.read(name)).data as BigInt64Array, Number);
  const feeds = {
    sample: await numbers.read('sample'),
    text: await numbers.read('encoder_hidden_states'),
    timesteps: float32(await whole('timesteps'), [2]),
    ids: int32(await whole('input_ids'), [2, 77]),
  };
  const run = async (out: Tensor, names: readonly (keyof typeof feeds)[]): Promise<Float32Array> => {
    const program = await backend.compile({ name: 'adapted', outputs: { out } });
    const fetched = await program.run(Object.fromEntries(names.map((n) => [n, feeds[n]])));
    await program.dispose();
    return floats(fetched['out']);
  };
  return {
    numbers,
    predict: (source: ParamSource, config: UNetConfig): Promise<Float32Array> => {
      const inputs = {
        sample: input('sample', [2, 4, 16, 16]),
        timesteps: input('timesteps', [2]),
        encoderHiddenStates: input('text', [2, 77, 32]),
      };
      return run(unet(new Scope(source), inputs, config).out, ['sample', 'text', 'timesteps']);
    },
    encode: (source: ParamSource, config: ClipTextConfig): Promise<Float32Array> =>
      run(clipText(new Scope(source), input('ids', [2, 77], 'int32'), config).lastHiddenState, ['ids']),
  };
}

void t.test('adapted and merged networks give what PEFT and diffusers give', { skip: skipGolden }, async (t) => {
  const { unetConfig, textConfig, parameters, unet: unetWeights, text: textWeights } = await base(),
    dir = t.testdir();
  const { numbers, predict, encode } = await networks(t);
  const close = async (actual: Float32Array, name: string): Promise<void> => {
    const error = relativeError(actual, floats(await numbers.read(name)));
    t.ok(error < 2e-5, `${name}: ${error}`);
  };
  const [frozenUnet, frozenText] = [new FrozenSource(unetWeights), new FrozenSource(textWeights)];
  for (const [folder, name] of [
    ['peft_adapter_r4_a4', 'r4_a4'],
    ['peft_adapter_r8_a16', 'r8_a16'],
  ]) {
    const adapter = (await loadAdapter(golden(folder), parameters)) as Required<PartValues>;
    await close(await predict(adaptedSource(frozenUnet, adapter.unet), unetConfig), `${name}.peft/unet_out`);
    await close(
      await encode(adaptedSource(frozenText, adapter.text_encoder), textConfig),
      `${name}.peft/text_last_hidden_state`,
    );
    await close(await predict(adaptedSource(frozenUnet, adapter.unet, 0), unetConfig), `${name}.base/unet_out`);
    await writeMerged(join(dir, 'merged.safetensors'), unetWeights, adapter.unet);
    await close(
      await predict(new FrozenSource(await openSafetensors(join(dir, 'merged.safetensors'))), unetConfig),
      `${name}.peft/unet_out`,
    );
  }
  const diffusers = (await loadAdapter(golden('diffusers_lora_r4'), parameters)) as Required<PartValues>;
  await close(
    await predict(adaptedSource(frozenUnet, diffusers.unet), unetConfig),
    'r4_a4.diffusers_loaded/unet_out_scale1',
  );
  await close(
    await predict(adaptedSource(frozenUnet, diffusers.unet, 0.5), unetConfig),
    'r4_a4.diffusers_loaded/unet_out_scale0.5',
  );
  await close(
    await encode(adaptedSource(frozenText, diffusers.text_encoder), textConfig),
    'r4_a4.diffusers_loaded/text_last_hidden_state_scale1',
  );
});

void t.test(
  'every linear layer and convolution of both networks applies its adapter as its merged weight does',
  { skip: skipGolden },
  async (t) => {
    const { unetConfig, textConfig, unet: unetWeights, text: textWeights } = await base(),
      file = join(t.testdir(), 'merged.safetensors');
    const { predict, encode } = await networks(t);
    const check = async <C>(
      name: string,
      run: (source: ParamSource, config: C) => Promise<Float32Array>,
      config: C,
      weights: WeightFile,
      shapes: ReadonlyMap<string, Shape>,
    ): Promise<void> => {
      const own = adaptableModules(shapes);
      const values: AdapterValues = new Map(
        [...own].map(([module, shape]) => {
          const adapter = new LoraModule(shape, { rank: 2, scale: 1.5 });
          const draw = (part: string, size: readonly number[]): HostTensor =>
            float32(
              new Rng(3)
                .stream(`${module} ${part}`)
                .normals(sizeOf(size))
                .map((v) => v * 0.1),
              size,
            );
          const parts = [...adapter.parts].map(([part, size]) => [part, draw(part, size)]);
          return [module, { adapter, values: Object.fromEntries(parts) as Record<string, HostTensor> }];
        }),
      );
      await writeMerged(file, weights, values);
      const adapted = await run(adaptedSource(new FrozenSource(weights), values), config);
      const merged = await run(new FrozenSource(await openSafetensors(file)), config),
        before = await run(new FrozenSource(weights), config);
      t.ok(relativeError(adapted, merged) < 2e-5, `${name}, ${values.size} modules: ${relativeError(adapted, merged)}`);
      t.ok(relativeError(adapted, before) > 0.01, `${name} changes: ${relativeError(adapted, before)}`);
    };
    // SD 2.x has linear layers where SD 1.x has 1x1 convolutions.
    for (const config of [unetConfig, { ...unetConfig, useLinearProjection: true }])
      await check(
        `U-Net, ${config.useLinearProjection ? 'linear layers' : '1x1 convolutions'}`,
        predict,
        config,
        unetWeights,
        recorded((s) => recordUnet(s, config)),
      );
    await check(
      'text encoder',
      encode,
      textConfig,
      textWeights,
      recorded((s) => recordText(s, textConfig)),
    );
  },
);
