import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { UserError } from '../../src/base/errors.js';
import {
  BLOCK_REMOVALS,
  compressPipeline,
  studentConfig,
  studentKey,
  studentKeys,
  writeStudent,
  type BlockRemoval,
} from '../../src/models/block-removal.js';
import type { RawConfig } from '../../src/networks/component-config.js';
import { derivePipeline } from '../../src/formats/pipeline/derived-pipeline.js';
import { loadAdapter } from '../../src/adapters/load-adapter.js';
import { mergePipeline } from '../../src/adapters/merge.js';
import { mergedWeight } from '../../src/adapters/merged-weight.js';
import { openPipeline } from '../../src/formats/pipeline/pipeline-folder.js';
import { recorded, recordText, recordUnet } from '../../src/networks/record.js';
import { parseUNetConfig } from '../../src/networks/unet-config.js';
import { openSafetensors, writeSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { float32, sizeOf } from '../../src/tensor/host.js';
import { golden, skipGolden } from '../golden.js';

const json = async (path: string): Promise<RawConfig> => JSON.parse(await readFile(path, 'utf8')) as RawConfig;
const sd: RawConfig = {
  block_out_channels: [32, 64, 96, 96],
  layers_per_block: 2,
  attention_head_dim: [1, 2, 3, 4],
  mid_block_type: 'UNetMidBlock2DCrossAttn',
  cross_attention_dim: 24,
  norm_num_groups: 8,
  down_block_types: ['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
};
const removals = Object.keys(BLOCK_REMOVALS) as BlockRemoval[];

void t.test('the first layer of a down stage, the first and last of an up stage stay', (t) => {
  const moves = (key: string, ...expected: (string | undefined)[]): void =>
    void t.same(
      (['base', 'small', 'bk_small', 'tiny'] as const).map((r) => studentKey(key, r)),
      expected,
      key,
    );
  const everywhere = (key: string): void => moves(key, key, key, key, key);
  everywhere('conv_in.weight');
  everywhere('time_embedding.linear_1.bias');
  everywhere('down_blocks.1.attentions.0.proj_in.weight');
  everywhere('down_blocks.1.downsamplers.0.conv.weight');
  const gone = undefined;
  moves('down_blocks.1.attentions.1.proj_in.weight', gone, gone, gone, gone);
  moves(
    'down_blocks.2.downsamplers.0.conv.weight',
    ...Array<string>(3).fill('down_blocks.2.downsamplers.0.conv.weight'),
    gone,
  );
  moves('down_blocks.3.resnets.0.conv1.weight', ...Array<string>(3).fill('down_blocks.3.resnets.0.conv1.weight'), gone);
  moves(
    'mid_block.resnets.1.conv1.weight',
    'mid_block.resnets.1.conv1.weight',
    'mid_block.resnets.1.conv1.weight',
    gone,
    gone,
  );
  moves('up_blocks.0.upsamplers.0.conv.bias', ...Array<string>(3).fill('up_blocks.0.upsamplers.0.conv.bias'), gone);
  moves('up_blocks.2.resnets.1.conv1.weight', gone, gone, gone, gone);
  moves(
    'up_blocks.2.resnets.2.conv1.weight',
    ...Array<string>(3).fill('up_blocks.2.resnets.1.conv1.weight'),
    'up_blocks.1.resnets.1.conv1.weight',
  );
  moves(
    'up_blocks.1.attentions.0.transformer_blocks.0.norm2.bias',
    ...Array<string>(3).fill('up_blocks.1.attentions.0.transformer_blocks.0.norm2.bias'),
    'up_blocks.0.attentions.0.transformer_blocks.0.norm2.bias',
  );
  t.end();
});

void t.test('the config of a student has the lists of its stages', (t) => {
  t.same(studentConfig(sd, 'small', 'x'), { ...sd, layers_per_block: 1 });
  t.same(studentConfig(sd, 'bk_small', 'x'), { ...sd, layers_per_block: 1, mid_block_type: null });
  t.same(studentConfig(sd, 'tiny', 'x'), {
    ...sd,
    layers_per_block: 1,
    mid_block_type: null,
    block_out_channels: [32, 64, 96],
    attention_head_dim: [1, 2, 3],
    down_block_types: ['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
    up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
  });
  t.end();
});

void t.test('the names and shapes that the student takes are what its config asks for, for any widths', (t) => {
  const teacher = recorded((s) => recordUnet(s, parseUNetConfig(sd, 'teacher')));
  for (const removal of removals) {
    const student = recorded((s) => recordUnet(s, parseUNetConfig(studentConfig(sd, removal, 'teacher'), removal)));
    const moved = [...studentKeys(teacher.keys(), removal).teacherToStudent].map(
      ([from, to]) => [to, teacher.get(from)] as const,
    );
    t.same(new Map(moved), student, removal);
  }
  t.end();
});

void t.test('U-Nets of other topologies are refused with the field that differs', (t) => {
  const refused = (change: RawConfig, message: RegExp): void => {
    t.throws(
      () => studentConfig({ ...sd, ...change }, 'small', 'unet/config.json'),
      Object.assign(new UserError(''), { message }),
    );
  };
  refused(
    { block_out_channels: [320, 640, 1280] },
    /unet\/config\.json: block_out_channels is \[320,640,1280\]; blocks are removed from U-Nets of SD 1\.x and 2\.x only, which have 4 values/,
  );
  t.throws(
    () => studentConfig({ ...sd, block_out_channels: [32, 64, 96, 128] }, 'tiny', 'x'),
    /block_out_channels is \[32,64,96,128\]; .* two equal last values/,
  );
  refused({ layers_per_block: 1 }, /layers_per_block is 1; .*, which have 2/);
  refused({ mid_block_type: null }, /mid_block_type is null/);
  refused(
    { down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'] },
    /down_block_types is \["DownBlock2D",/,
  );
  t.end();
});

void t.test('key maps equal those of the published students', { skip: skipGolden }, async (t) => {
  const { maps } = (await json(golden('block_removal.json'))) as {
    maps: Record<
      BlockRemoval,
      { teacher_to_student: Record<string, string>; teacher_keys_dropped: string[]; student_params: number }
    >;
  };
  const teacher = await openSafetensors(golden('tiny-sd-random/unet/diffusion_pytorch_model.safetensors'));
  for (const [removal, { teacher_to_student, teacher_keys_dropped, student_params }] of Object.entries(maps)) {
    const { teacherToStudent, dropped } = studentKeys(teacher.entries.keys(), removal as BlockRemoval);
    t.same(Object.fromEntries(teacherToStudent), teacher_to_student, removal);
    t.same([...dropped].sort(), [...teacher_keys_dropped].sort());
    const config = parseUNetConfig(
      studentConfig(await json(golden('tiny-sd-random/unet/config.json')), removal as BlockRemoval, removal),
      removal,
    );
    t.equal(
      [...recorded((s) => recordUnet(s, config)).values()].reduce((n, s) => n + sizeOf(s), 0),
      student_params,
    );
  }
});

void t.test(
  'students of SD 1.5 and 2.1 have the configs that BK-SDM and segmind publish',
  { skip: skipGolden },
  async (t) => {
    const configs = (await json(golden('unet_configs.json'))) as Record<string, Record<string, RawConfig>>;
    const fields = [
      'block_out_channels',
      'layers_per_block',
      'down_block_types',
      'up_block_types',
      'attention_head_dim',
      'cross_attention_dim',
      'mid_block_type',
      'use_linear_projection',
    ];
    const same = (teacher: RawConfig, removal: BlockRemoval, published: RawConfig): void => {
      const student = studentConfig(teacher, removal, 'teacher');
      for (const field of fields)
        t.same(student[field] ?? published[field], published[field] ?? student[field], `${removal} ${field}`);
      t.equal(student['mid_block_type'] === null, published['mid_block_type'] === null, `${removal} mid block`);
    };
    const { sd_v1: v1, sd_v2_1: v2, bk_sdm: bk, segmind } = configs;
    same(v1, 'small', segmind['segmind/small-sd unet']);
    same(v1, 'tiny', segmind['segmind/tiny-sd unet']);
    for (const [name, removal] of [
      ['base', 'base'],
      ['small', 'bk_small'],
      ['tiny', 'tiny'],
    ] as const) {
      same(v1, removal, bk[`BK-SDM (v1.4) ${name}`]);
      same(v2, removal, bk[`BK-SDM-v2 (2.1-base, 512) ${name}`]);
    }
  },
);

void t.test('compressed pipelines equal the published students bit for bit', { skip: skipGolden }, async (t) => {
  const teacher = await openPipeline(golden('tiny-sd-random')),
    dir = t.testdir();
  for (const [removal, published] of [
    ['small', 'small-sd-random'],
    ['tiny', 'tiny-sd-blockremoved-random'],
  ] as const) {
    const out = join(dir, removal);
    await compressPipeline(teacher, removal, out);
    t.same(await json(join(out, 'unet/config.json')), await json(golden(published, 'unet/config.json')));
    const [ours, theirs] = [
      (await openPipeline(out)).unet.weights,
      await openSafetensors(golden(published, 'unet/diffusion_pytorch_model.safetensors')),
    ];
    t.same([...ours.entries.keys()].sort(), [...theirs.entries.keys()].sort());
    for (const key of theirs.entries.keys())
      if (!bytes(await ours.read(key)).equals(bytes(await theirs.read(key)))) t.fail(key);
    t.same(
      await readFile(join(out, 'tokenizer/merges.txt')),
      await readFile(golden('tiny-sd-random/tokenizer/merges.txt')),
    );
    t.same((await readdir(out)).sort(), ['model_index.json', 'scheduler', 'text_encoder', 'tokenizer', 'unet', 'vae']);
  }
});

const bytes = ({ data }: { data: ArrayBufferView }): Buffer =>
  Buffer.from(data.buffer, data.byteOffset, data.byteLength);

void t.test('a student keeps the dtypes of the teacher', async (t) => {
  const dir = t.testdir();
  await writeSafetensors(join(dir, 'teacher.safetensors'), {
    'conv_in.weight': { dtype: 'float16', shape: [2], data: Uint16Array.from([1, 2]) },
    'up_blocks.3.resnets.2.norm1.bias': float32([3], [1]),
    'mid_block.a': float32([4], [1]),
  });
  await writeStudent(join(dir, 'student.safetensors'), await openSafetensors(join(dir, 'teacher.safetensors')), 'tiny');
  const student = await openSafetensors(join(dir, 'student.safetensors'));
  t.same([...student.entries.keys()], ['up_blocks.2.resnets.1.norm1.bias', 'conv_in.weight']);
  t.same(await student.read('conv_in.weight'), { dtype: 'float16', shape: [2], data: Uint16Array.from([1, 2]) });
});

void t.test(
  'a merged pipeline has W + B A in the adapted modules and is otherwise the same',
  { skip: skipGolden },
  async (t) => {
    const base = await openPipeline(golden('tiny-sd-random')),
      out = join(t.testdir(), 'merged');
    const parameters = {
      unet: recorded((s) => recordUnet(s, base.unetConfig)),
      text_encoder: recorded((s) => recordText(s, base.textConfig)),
    };
    const adapter = await loadAdapter(golden('peft_adapter_r8_a16'), parameters);
    await mergePipeline(base, adapter, out, 0.5, undefined, 'v_prediction');
    const merged = await openPipeline(out);
    t.same(
      merged.schedulerConfig,
      { ...base.schedulerConfig, prediction_type: 'v_prediction' },
      'what it was trained for',
    );
    for (const [before, after, pairs] of [
      [base.unet, merged.unet, adapter.unet],
      [base.text, merged.text, adapter.text_encoder],
    ] as const) {
      for (const name of before.weights.entries.keys()) {
        const pair = pairs?.get(name.replace(/\.weight$/, '')),
          weight = await before.weights.read(name);
        const expected = pair ? mergedWeight(weight, pair, 0.5) : weight;
        if (!bytes(await after.weights.read(name)).equals(bytes(expected))) t.fail(name);
      }
      t.same([...after.weights.entries.keys()].sort(), [...before.weights.entries.keys()].sort());
    }
  },
);

void t.test('a derived pipeline appears whole or not at all, without the old weights', async (t) => {
  const dir = t.testdir({
    source: {
      'model_index.json': JSON.stringify({
        unet: ['diffusers', 'UNet2DConditionModel'],
        vae: ['diffusers', 'AutoencoderKL'],
        safety_checker: [null, null],
      }),
      'all-in-one.ckpt': 'old',
      unet: {
        'config.json': '{}',
        'diffusion_pytorch_model.fp16.safetensors': 'old',
        'diffusion_pytorch_model.safetensors.index.json': 'old',
      },
      vae: { 'model.bin': 'kept' },
    },
  });
  const [source, out] = [join(dir, 'source'), join(dir, 'out')];
  await t.rejects(
    derivePipeline(source, out, { text_encoder: async () => {} }),
    /model_index\.json: no "text_encoder"; it names unet, vae/,
  );
  await t.rejects(
    derivePipeline(source, out, {
      unet: async () => {
        throw new UserError('disk full');
      },
    }),
    { message: 'disk full' },
  );
  t.same(await readdir(dir), ['source'], 'nothing half-written');
  await mkdir(out);
  const weights = { w: float32([1], [1]) };
  await derivePipeline(source, out, { unet: (folder) => writeSafetensors(join(folder, 'new.safetensors'), weights) });
  t.same((await readdir(out, { recursive: true })).sort(), [
    'model_index.json',
    'unet',
    'unet/config.json',
    'unet/new.safetensors',
    'vae',
    'vae/model.bin',
  ]);
  await t.rejects(derivePipeline(source, out, {}), /out: exists and is not empty/);
});

void t.test(
  'a pipeline without its safety checker, as the hub gives it, can be compressed; the index forgets the checker',
  { skip: skipGolden },
  async (t) => {
    const dir = t.testdir();
    await cp(golden('tiny-sd-random'), `${dir}/teacher`, { recursive: true });
    const index = JSON.parse(await readFile(`${dir}/teacher/model_index.json`, 'utf8')) as Record<string, unknown>;
    await writeFile(
      `${dir}/teacher/model_index.json`,
      JSON.stringify({ ...index, safety_checker: ['stable_diffusion', 'StableDiffusionSafetyChecker'] }),
    );
    await compressPipeline(await openPipeline(`${dir}/teacher`), 'tiny', `${dir}/student`);
    const student = JSON.parse(await readFile(`${dir}/student/model_index.json`, 'utf8')) as Record<string, unknown>;
    t.strictSame(
      [student['safety_checker'], student['unet']],
      [
        [null, null],
        ['diffusers', 'UNet2DConditionModel'],
      ],
    );
  },
);
