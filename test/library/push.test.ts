/** What is uploaded to the hub, and what never leaves this machine. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { push, train } from '../../src/index.js';
import { hubToken } from '../../src/formats/hub/push.js';
import { pushServer } from '../fixtures/hub/push-server.js';
import { Project, SMALL_CONFIG } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);

const TOKEN = 'hf_secretOfTheTests';
const server = await pushServer(TOKEN);
t.teardown(() => server.close());
process.env['HF_ENDPOINT'] = server.address;
process.env['HF_TOKEN'] = TOKEN;
t.teardown(() => {
  delete process.env['HF_ENDPOINT'];
  delete process.env['HF_TOKEN'];
});

const lines: string[] = [],
  said = (line: string): void => void lines.push(line),
  log = { info: said, warn: said, debug: said };
const project = Project.create(t, { 'my.yaml': SMALL_CONFIG }),
  workDir = project.file('run');

void t.test('a run pushes its last checkpoint: adapter, card, pictures, and nothing of this machine', async (t) => {
  server.failures = 1;
  await train(project.file('my.yaml'), {
    workDir,
    log,
    options: {
      'custom_hooks.preview': {
        type: 'VisualizationHook',
        prompt: ['a photo of sks dog', 'it: "swims"'],
        height: 64,
        width: 64,
        num_inference_steps: 1,
        before_train: false,
      },
      'custom_hooks.push': { type: 'PushToHubHook', repo_id: 'me/my-dog', license: 'openrail' },
    },
  });
  t.match(
    lines.find((line) => line.includes('The run is safe in')),
    /^push: .*\/me\/my-dog: .*try again: what is there is not sent twice/,
  );
  t.equal(server.files.size, 0, 'a broken upload makes no commit');

  const { url, files } = await push(workDir, 'me/my-dog', { license: 'openrail', log });
  t.equal(url, `${server.address}/me/my-dog/commit/${'a'.repeat(40)}`);
  t.strictSame(files, [
    'README.md',
    'unet/adapter_config.json',
    'unet/adapter_model.safetensors',
    'images/0.png',
    'images/1.png',
  ]);
  t.strictSame([...server.files.keys()].sort(), [...files].sort());
  t.match(server.created, [{ name: 'my-dog', organization: 'me', type: 'model', visibility: 'private' }]);
  for (const file of ['unet/adapter_config.json', 'unet/adapter_model.safetensors'])
    t.ok(server.files.get(file)?.equals(readFileSync(join(workDir, 'step1', file))), file);
  t.ok(server.files.get('images/1.png')?.equals(readFileSync(join(workDir, 'vis/step1/1.png'))));

  const card = server.files.get('README.md')!.toString(),
    [, metadata, text] = /^---\n([^]*?)\n---\n([^]*)$/.exec(card)!;
  t.match(parse(metadata), {
    license: 'openrail',
    library_name: 'diffusers',
    pipeline_tag: 'text-to-image',
    instance_prompt: 'a photo of sks dog',
    widget: [
      { text: 'a photo of sks dog', output: { url: 'images/0.png' } },
      { text: 'it: "swims"', output: { url: 'images/1.png' } },
    ],
  });
  t.notOk('base_model' in (parse(metadata) as object), 'the base is no repository of the hub');
  t.ok((parse(metadata) as { tags: string[] }).tags.includes('lora'));
  t.match(text, /\| iterations \| 2 \|\n/);
  t.match(text, /\| rank \| 4 \|\n/);
  t.match(text, /PeftModel\.from_pretrained\(pipe\.unet, "<this folder>\/unet"\)/);

  const sent = server.sent.length;
  await push(join(workDir, 'step1'), 'me/my-dog', { log });
  t.equal(server.sent.length, sent, 'what the hub has is not sent again, and a repository may be there');
  t.strictSame(server.complaints, []);
  const everything = [...lines, card, ...server.titles].join('\n');
  t.notOk(everything.includes(TOKEN), 'the token is in no line and no card');
  t.notOk(card.includes(project.path), 'nor is a path');
  t.match(
    readFileSync(join(workDir, 'step1/README.md'), 'utf8'),
    /^---\nlicense: apache-2\.0\n/,
    'each checkpoint has a card',
  );
});

void t.test('push: what is wrong is told', async (t) => {
  await t.rejects(push(workDir, 'my-dog'), { message: 'push: "my-dog" is no name of a repository; give user/name' });
  await t.rejects(push(project.file('none'), 'me/my-dog'), { code: 'FILE_NOT_FOUND' });
  await t.rejects(push(workDir, 'me/my-dog', { private: true } as never), {
    message: /^push\.private: unknown option/,
  });
  process.env['HF_TOKEN'] = 'hf_another';
  await t.rejects(push(workDir, 'me/my-dog'), {
    message: /me\/my-dog: 401, .*; the token may not write there; make one/,
  });
  await t.rejects(hubToken({ HF_TOKEN: 'secret' }), {
    message: 'push: HF_TOKEN is no token of the hub (they start with "hf_")',
  });
  await t.rejects(hubToken({ HF_HOME: project.path }), {
    message: /^push: no token for the hub; make one that may write/,
  });
  const folder = t.testdir({ token: 'hf_ofTheFile\n' });
  t.equal(await hubToken({ HF_HOME: folder }), 'hf_ofTheFile');
});
