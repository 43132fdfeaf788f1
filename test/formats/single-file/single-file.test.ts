import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { convertFolder } from '../../../src/formats/convert-folder.js';
import { resolveModel } from '../../../src/formats/hub/hub.js';
import { openPipeline, pipelineFingerprint } from '../../../src/formats/pipeline/pipeline-folder.js';
import { derivePipeline } from '../../../src/formats/pipeline/derived-pipeline.js';
import { openSafetensors, writeSafetensors } from '../../../src/formats/safetensors/safetensors.js';
import { clipKind, writeClipTokenizer } from '../../../src/formats/single-file/clip-vocabulary.js';
import { unetNames, vaeNames } from '../../../src/formats/single-file/ldm-names.js';
import { openCheckpoint } from '../../../src/formats/single-file/open-checkpoint.js';
import { writeCheckpoint } from '../../../src/formats/single-file/write-checkpoint.js';
import { LAYOUTS, writeRandomModel, type Layout } from '../../../src/models/random-model.js';
import { float32, type HostTensor } from '../../../src/tensor/host.js';
import { TINY } from '../../fixtures/networks/networks.js';

process.env.DIFFENGINE_CACHE = t.testdir();

const collect = (): { lines: string[]; log: { info(): void; debug(): void; warn(line: string): void } } => {
  const lines: string[] = [];
  return { lines, log: { info: () => {}, debug: () => {}, warn: (line) => void lines.push(line) } };
};

/** Names, shapes and a sum of the bytes: quicker to compare than the values. */
const digest = async (file: string): Promise<string[]> =>
  Object.entries(await tensorsOf(file)).map(([name, { dtype, shape, data }]) => {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return `${name} ${dtype}[${shape}] ${createHash('sha256').update(bytes).digest('hex')}`;
  });

async function tensorsOf(file: string): Promise<Record<string, HostTensor>> {
  const weights = await openSafetensors(file);
  return Object.fromEntries(
    await Promise.all([...weights.entries.keys()].map(async (n) => [n, await weights.read(n)])),
  );
}

/** A model in the manner of Stable Diffusion 2: heads of 64 channels, linear projections, CLIP with gelu. */
async function secondModel(folder: string): Promise<string> {
  const { unet, text } = LAYOUTS['tiny-random'];
  const channels = [64, 64, 128, 128];
  const layout: Layout = {
    ...LAYOUTS['tiny-random'],
    unet: {
      ...unet,
      block_out_channels: channels,
      attention_head_dim: [1, 1, 2, 2],
      use_linear_projection: true,
      norm_num_groups: 32,
      cross_attention_dim: 64,
    },
    text: { ...text, hidden_act: 'gelu', hidden_size: 64, num_attention_heads: 1 },
  };
  await writeRandomModel(folder, layout, { dtype: 'float32', seed: 3 });
  return folder;
}

void t.test('names of CompVis: blocks are counted through, the decoder from the other end', (t) => {
  const unet = unetNames({ layersPerBlock: [2, 2, 2, 2], upAttention: [false, true, true, true] });
  for (const [name, stored] of [
    ['conv_in.weight', 'input_blocks.0.0.weight'],
    ['down_blocks.0.resnets.1.conv1.weight', 'input_blocks.2.0.in_layers.2.weight'],
    [
      'down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight',
      'input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight',
    ],
    ['down_blocks.2.downsamplers.0.conv.bias', 'input_blocks.9.0.op.bias'],
    ['mid_block.resnets.1.time_emb_proj.weight', 'middle_block.2.emb_layers.1.weight'],
    ['up_blocks.0.upsamplers.0.conv.weight', 'output_blocks.2.1.conv.weight'],
    ['up_blocks.1.upsamplers.0.conv.weight', 'output_blocks.5.2.conv.weight'],
    ['up_blocks.3.resnets.2.conv_shortcut.weight', 'output_blocks.11.0.skip_connection.weight'],
    ['time_embedding.linear_2.bias', 'time_embed.2.bias'],
    ['conv_out.weight', 'out.2.weight'],
  ])
    t.equal(unet(name), `model.diffusion_model.${stored}`);
  const small = unetNames({ layersPerBlock: [1, 1, 1], upAttention: [true, true, true] });
  t.equal(small('down_blocks.1.resnets.0.norm1.weight'), 'model.diffusion_model.input_blocks.3.0.in_layers.0.weight');
  t.equal(small('up_blocks.1.upsamplers.0.conv.bias'), 'model.diffusion_model.output_blocks.3.2.conv.bias');
  const vae = vaeNames({ blockOutChannels: [8, 16, 16] });
  t.equal(
    vae('decoder.up_blocks.0.resnets.2.conv_shortcut.bias'),
    'first_stage_model.decoder.up.2.block.2.nin_shortcut.bias',
  );
  t.equal(
    vae('encoder.down_blocks.1.downsamplers.0.conv.weight'),
    'first_stage_model.encoder.down.1.downsample.conv.weight',
  );
  t.equal(vae('encoder.mid_block.attentions.0.to_out.0.bias'), 'first_stage_model.encoder.mid.attn_1.proj_out.bias');
  t.equal(vae('decoder.mid_block.attentions.0.query.weight'), 'first_stage_model.decoder.mid.attn_1.q.weight');
  t.end();
});

void t.test(
  'a model written as one file opens as exactly the same pipeline, and converts back to the same tensors',
  async (t) => {
    const dir = t.testdir();
    for (const [name, folder] of [
      ['1.x', TINY],
      ['2.x', await secondModel(join(dir, 'second'))],
    ] as const) {
      const file = join(dir, `${name}.safetensors`),
        { lines, log } = collect();
      await writeCheckpoint(folder, file, { log });
      const names = [...(await openSafetensors(file)).entries.keys()];
      t.equal(
        names.some((n) => n.endsWith('attn.in_proj_weight')),
        name === '2.x',
        'OpenCLIP in 2.x',
      );
      t.strictSame(
        (await openSafetensors(file)).entries.get('first_stage_model.decoder.mid.attn_1.q.weight')?.shape.length,
        4,
      );
      const [opened, before] = [await openPipeline(await resolveModel(file, { log }), log), await openPipeline(folder)];
      for (const key of ['unetConfig', 'vaeConfig', 'textConfig', 'schedulerConfig'] as const)
        t.strictSame(opened[key], before[key], `${name}: ${key}`);
      t.strictSame(
        opened.tokenizer.encode('a photo of sks dog').ids,
        before.tokenizer.encode('a photo of sks dog').ids,
      );
      t.equal(await pipelineFingerprint(opened), await pipelineFingerprint(before));
      await convertFolder(await resolveModel(file), { out: join(dir, `${name}-back`) });
      for (const part of ['unet/diffusion_pytorch_model', 'vae/diffusion_pytorch_model', 'text_encoder/model'])
        t.strictSame(
          await digest(join(dir, `${name}-back`, `${part}.safetensors`)),
          await digest(join(folder, `${part}.safetensors`)),
          `${name}: ${part}`,
        );
      t.strictSame(lines, []);
    }
  },
);

void t.test('a pipeline that is derived from a checkpoint gets files of its own', async (t) => {
  const dir = t.testdir(),
    file = join(dir, 'model.safetensors');
  await writeCheckpoint(TINY, file);
  await derivePipeline(await resolveModel(file), join(dir, 'derived'), {
    unet: (folder) =>
      cp(
        join(TINY, 'unet', 'diffusion_pytorch_model.safetensors'),
        join(folder, 'diffusion_pytorch_model.safetensors'),
      ),
  });
  const [derived, before] = [await openPipeline(join(dir, 'derived')), await openPipeline(TINY)];
  t.equal(await pipelineFingerprint(derived), await pipelineFingerprint(before));
});

/** The tiny model as other tools write it: nothing but tensors, CLIP's vocabulary. */
async function foreign(
  t: Test,
  change: (tensors: Record<string, HostTensor>) => Record<string, HostTensor>,
  metadata = {},
): Promise<string> {
  const dir = t.testdir(),
    model = join(dir, 'source');
  await writeRandomModel(
    model,
    { ...LAYOUTS['tiny-random'], text: { ...LAYOUTS['tiny-random'].text, vocab_size: 49408 } },
    { dtype: 'float16', seed: 1 },
  );
  await writeClipTokenizer(join(dir, 'clip'), 'clip');
  for (const name of ['vocab.json', 'merges.txt', 'tokenizer_config.json', 'special_tokens_map.json'])
    await cp(join(dir, 'clip', name), join(model, 'tokenizer', name));
  await writeCheckpoint(model, join(dir, 'own.safetensors'));
  await writeSafetensors(
    join(dir, 'dream.safetensors'),
    change(await tensorsOf(join(dir, 'own.safetensors'))),
    metadata,
  );
  return join(dir, 'dream.safetensors');
}

void t.test(
  "a checkpoint of another tool: configs from shapes, CLIP's tokenizer, EMA and buffers named once, guesses named",
  async (t) => {
    const file = await foreign(t, (all) => ({
      ...all,
      betas: float32([1], [1]),
      'model_ema.decay': float32([1], []),
      'model_ema.diffusion_modelout2bias': float32([1], [1]),
      'cond_stage_model.transformer.text_model.embeddings.position_ids': float32([1], [1]),
    }));
    const { lines, log } = collect();
    const opened = await openPipeline(await resolveModel(file, { log }), log),
      before = await openPipeline(file.replace('dream.safetensors', 'source'));
    t.equal(await pipelineFingerprint(opened), await pipelineFingerprint(before));
    t.strictSame({ ...opened.textConfig, eosTokenId: 660 }, before.textConfig);
    t.strictSame([...opened.tokenizer.encode('a dog').ids.slice(0, 5)], [49406, 320, 1929, 49407, 49407]);
    t.match(lines, [
      /guessed, because neither its shapes nor Stable Diffusion's configs say so: U-Net: norm_num_groups \d+; VAE: norm_num_groups \d+; text encoder: 4 attention heads\./,
      /dream\.safetensors: not used: betas, model_ema\.\* \(2\)$/,
    ]);
    const again = collect();
    const folder = await openCheckpoint(file, { config: file.replace('dream.safetensors', 'source'), log: again.log });
    t.strictSame((await openPipeline(folder)).unetConfig, before.unetConfig, 'configs of a folder');
    t.equal(again.lines.length, 1, 'and nothing is guessed');
  },
);

void t.test(
  'a checkpoint whose text encoder lacks the level text_model, and one with a .yaml and a folder beside it',
  async (t) => {
    const bare = await foreign(t, (all) =>
      Object.fromEntries(
        Object.entries(all).map(([name, value]) => [name.replace('transformer.text_model.', 'transformer.'), value]),
      ),
    );
    await openPipeline(await resolveModel(bare));
    await writeFile(
      bare.replace('.safetensors', '.yaml'),
      'model:\n  params:\n    parameterization: "v"\n    scale_factor: 0.5\n    unet_config:\n      params:\n        num_heads: 2\n        num_head_channels: -1\n',
    );
    const opened = await openPipeline(await resolveModel(bare));
    t.equal(opened.schedulerConfig.prediction_type, 'v_prediction');
    t.equal(opened.vaeConfig.scalingFactor, 0.5);
    t.strictSame(opened.unetConfig.heads, [2, 2, 2, 2].slice(0, opened.unetConfig.heads.length));
    const beside = bare.replace('.safetensors', '');
    await cp(bare.replace('dream.safetensors', 'source'), beside, { recursive: true });
    t.strictSame((await openPipeline(await resolveModel(bare))).unetConfig, (await openPipeline(beside)).unetConfig);
  },
);

void t.test('what is no checkpoint of Stable Diffusion 1.x or 2.x is refused by what it is', async (t) => {
  const dir = t.testdir({ 'a.txt': '', 'notes.safetensors': 'hello' });
  const refused = async (name: string, tensor: string, message: RegExp): Promise<void> => {
    await writeSafetensors(join(dir, name), { [tensor]: float32([1], [1]) });
    await t.rejects(resolveModel(join(dir, name)), { name: 'UserError', message });
  };
  await refused(
    'xl.safetensors',
    'conditioner.embedders.0.x',
    /xl\.safetensors: a checkpoint of Stable Diffusion XL; as a single file/,
  );
  await refused(
    'lora.safetensors',
    'lora_unet_x.lora_up.weight',
    /an adapter, which "demo_lora" and "merge-lora" take;/,
  );
  await refused(
    'unet.safetensors',
    'down_blocks.0.x',
    /the weights of one component; give the folder of the pipeline;/,
  );
  await refused(
    'other.safetensors',
    'fc.weight',
    /no checkpoint of Stable Diffusion 1\.x or 2\.x: it has no "model\.diffusion_model\.input_blocks\.0\.0\.weight" but fc\.weight/,
  );
  await refused(
    'half.safetensors',
    'model.diffusion_model.input_blocks.0.0.weight',
    /half\.safetensors: its U-Net reads no text; a whole checkpoint of/,
  );
  await t.rejects(resolveModel(join(dir, 'a.txt')), {
    message: /a\.txt: a file that is no checkpoint \(\.safetensors, \.ckpt, /,
  });
  await t.rejects(resolveModel(join(dir, 'notes.safetensors')), { message: /not a complete safetensors file/ });
});

void t.test("CLIP's shipped vocabulary is known again, and a tokenizer that differs is not taken for it", async (t) => {
  const dir = t.testdir();
  await mkdir(join(dir, 'tok'));
  await writeClipTokenizer(join(dir, 'tok'), 'clip!');
  t.equal(await clipKind(join(dir, 'tok')), 'clip!');
  const vocab = JSON.parse(await readFile(join(dir, 'tok', 'vocab.json'), 'utf8')) as Record<string, number>;
  t.strictSame([vocab['!'], vocab['!</w>'], vocab['dog</w>'], vocab['<|endoftext|>']], [0, 256, 1929, 49407]);
  await writeFile(join(dir, 'tok', 'tokenizer_config.json'), '{"model_max_length": 60}');
  t.equal(await clipKind(join(dir, 'tok')), undefined);
});
