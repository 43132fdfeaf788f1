/** makeModel: what it is given is used or refused. */
import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import { makeModel } from '../../src/library/make-model.js';

const folder = t.testdir();

void t.test('the networks of the package can be taken by their package: names', async (t) => {
  const out = `${folder}/taken`;
  await makeModel('toyland', { out, vae: 'package:assets/toyland-small-sd', clip: 'package:assets/toyland-clip' });
  const bytes = (path: string): Buffer => readFileSync(path);
  const vae = 'vae/diffusion_pytorch_model.safetensors';
  t.ok(bytes(`${out}/${vae}`).equals(bytes(`assets/toyland-sd/${vae}`)), 'which shares it with its teacher');
  t.ok(bytes(`${out}/tokenizer/vocab.json`).equals(bytes('assets/toyland-clip/vocab.json')));
  await t.rejects(makeModel('toyland', { out: `${folder}/none`, vae: 'package:assets/no-such' }), {
    message: /no-such: no such checkpoint/,
    code: 'FILE_NOT_FOUND',
  });
});

void t.test('toyland predicts v, from a last timestep without a picture', (t) => {
  const read = (file: string): Record<string, unknown> =>
    JSON.parse(readFileSync(`${folder}/taken/${file}`, 'utf8')) as Record<string, unknown>;
  t.strictSame(read('model_index.json')['scheduler'], ['diffusers', 'DDIMScheduler']);
  t.match(read('scheduler/scheduler_config.json'), {
    _class_name: 'DDIMScheduler',
    beta_schedule: 'scaled_linear',
    steps_offset: 1, // diffusers warns of another one
    prediction_type: 'v_prediction',
    rescale_betas_zero_snr: true,
    timestep_spacing: 'trailing',
  });
  t.end();
});

void t.test('a CLIP refuses what is for a pipeline', async (t) => {
  const out = `${folder}/clip`;
  for (const [given, message] of [
    [{ vae: 'a/b' }, 'toyland-clip is a CLIP of float32 alone and takes no vae (a/b); leave it out'],
    [{ clip: 'a/b' }, 'toyland-clip is a CLIP of float32 alone and takes no clip (a/b); leave it out'],
    [{ dtype: 'float16' }, 'toyland-clip is a CLIP of float32 alone and takes no dtype (float16); leave it out'],
  ] as const)
    await t.rejects(makeModel('toyland-clip', { out, ...given }), { message });
  t.notOk(existsSync(out));
  await makeModel('toyland-clip', { out, dtype: 'float32' });
  t.ok(existsSync(`${out}/model.safetensors`));
});
