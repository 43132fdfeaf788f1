import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { derivePipeline } from '../../../src/formats/pipeline/derived-pipeline.js';
import { openPipeline, pipelineFingerprint } from '../../../src/formats/pipeline/pipeline-folder.js';
import { openCheckpoint } from '../../../src/formats/single-file/open-checkpoint.js';
import { convert } from '../../../src/library/convert.js';

const STUDENT = 'package:assets/toyland-small-sd',
  FOLDER = 'assets/toyland-small-sd';
const fingerprintOf = async (folder: string): Promise<string> => pipelineFingerprint(await openPipeline(folder));

void t.test(
  'a student of the package has the networks of its teacher, and what is written of it is whole',
  async (t) => {
    const out = t.testdir(),
      expected = await fingerprintOf(FOLDER);
    const [student, teacher] = [await openPipeline(FOLDER), await openPipeline('assets/toyland-sd')];
    t.strictSame(
      [student.vae.weights.files, student.text.weights.files],
      [teacher.vae.weights.files, teacher.text.weights.files],
    );
    t.not(student.unet.weights.files[0], teacher.unet.weights.files[0]);

    await convert(STUDENT, { out: join(out, 'converted') });
    await derivePipeline(FOLDER, join(out, 'derived'), {});
    for (const name of ['converted', 'derived']) {
      const index = JSON.parse(await readFile(join(out, name, 'model_index.json'), 'utf8')) as Record<string, unknown>;
      t.notOk('_shared' in index, name);
      t.strictSame(index['vae'], ['diffusers', 'AutoencoderKL']);
      t.equal(await fingerprintOf(join(out, name)), expected, name);
      t.match((await openPipeline(join(out, name))).vae.weights.files[0], join(out, name, 'vae'));
    }

    const file = join(out, 'one.safetensors'),
      cacheDir = join(out, 'cache');
    await convert(STUDENT, { out: file });
    t.equal(await fingerprintOf(await openCheckpoint(file, { cacheDir, config: FOLDER })), expected);
  },
);

void t.test('a folder from elsewhere that names networks of another one is refused', async (t) => {
  const folder = join(t.testdir(), 'copy');
  await cp(FOLDER, folder, { recursive: true });
  await t.rejects(openPipeline(folder), {
    name: 'UserError',
    message: `${join(folder, 'model_index.json')}: "_shared" is {"text_encoder":"../toyland-sd/text_encoder","vae":"../toyland-sd/vae"}, and only the models inside diffengine share networks; "diffengine convert package:assets/<name> --out <folder>" writes a whole folder`,
  });
});
