import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parse } from 'yaml';

const cli = fileURLToPath(new URL('../../tools/cli.js', import.meta.url));

function diffengine(cwd: string, ...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], { cwd, encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

void t.test('--help names every command and shows examples', async (t) => {
  const { code, out } = diffengine('.', '--help');
  t.equal(code, 0);
  for (const file of readdirSync('tools/commands'))
    t.match(out, new RegExp(`^  ${file.replace('.ts', '')} `, 'm'), file);
  t.match(out, 'diffengine train tiny_random_sd_dreambooth_lora_dog');
});

void t.test('--help loads nothing heavy: no command imports more than commander before it runs', async (t) => {
  for (const file of readdirSync('tools/commands')) {
    const imports =
      readFileSync(join('tools/commands', file), 'utf8').match(/^import (?!type )[^;]*from '(?!node:)[^']+'/gm) ?? [];
    t.strictSame(
      imports.filter((line) => !/'(commander|\.\.\/demo-options\.js)'/.test(line)),
      [],
      file,
    );
  }
});

void t.test('a wrong command or option is refused in words, exit code 1', async (t) => {
  t.match(diffengine('.', 'trian', 'x'), { code: 1, err: /unknown command 'trian'[^]*Did you mean train\?/ });
  t.match(diffengine('.', 'list-cfg', '--bogus'), { code: 1, err: /unknown option '--bogus'[^]*add --help/ });
});

void t.test('list-cfg prints names and files, or those that contain a word', async (t) => {
  const { code, out } = diffengine('.', 'list-cfg', 'keramer');
  t.equal(code, 0);
  t.equal(
    out,
    [
      'small_sd_dreambooth_lora_keramer_face  configs/distill_sd_dreambooth/small_sd_dreambooth_lora_keramer_face.ts',
      'tiny_sd_dreambooth_lora_keramer_face   configs/distill_sd_dreambooth/tiny_sd_dreambooth_lora_keramer_face.ts',
      '',
    ].join('\n'),
  );
  const sources = readdirSync('configs', { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.ts') && !name.startsWith('_base_'),
  );
  t.equal(diffengine('.', 'list-cfg').out.trimEnd().split('\n').length, sources.length, 'all of them');
});

void t.test('copy-cfg copies a built-in config, which means the same in another folder', async (t) => {
  const folder = t.testdir();
  const copied = diffengine(folder, 'copy-cfg', 'small_sd_dreambooth_lora_dog', 'my_dog.ts');
  t.strictSame(copied, { code: 0, out: 'my_dog.ts\nnext: npx diffengine train my_dog.ts\n', err: '' });
  t.equal(
    diffengine(folder, 'describe', 'my_dog.ts').out,
    diffengine(folder, 'describe', 'small_sd_dreambooth_lora_dog').out,
  );
  t.match(diffengine(folder, 'copy-cfg', 'small_sd_dreambooth_lora_dog', 'my_dog.ts'), {
    code: 1,
    err: /^diffengine: my_dog\.ts: is there already; choose another name, or add --force\n$/,
  });
  t.equal(diffengine(folder, 'copy-cfg', 'tiny_sd_dreambooth_lora_dog').code, 0);
  t.ok(existsSync(join(folder, 'tiny_sd_dreambooth_lora_dog.ts')), 'under its own name');
  t.match(diffengine(folder, 'copy-cfg', 'small_sd_dog'), {
    code: 1,
    err: /^diffengine: small_sd_dog: no built-in config of that name/,
  });
});

void t.test(
  'describe shows a config with everything it inherits, as YAML and JSON, and where each value is from',
  async (t) => {
    const yaml = diffengine('.', 'describe', 'tiny_sd_dreambooth_lora_dog', '--cfg-options', 'model.model=./mine');
    t.equal(yaml.code, 0);
    t.match(parse(yaml.out), {
      model: { model: './mine' },
      train_dataloader: { dataset: { class_image: { model: './mine', num_images: 200 } } },
    });
    const json = diffengine(
      '.',
      'describe',
      'tiny_sd_dreambooth_lora_dog',
      '--cfg-options',
      'model.model=./mine',
      '--json',
    );
    t.strictSame(JSON.parse(json.out), parse(yaml.out));
    const { out } = diffengine(
      '.',
      'describe',
      'tiny_sd_dreambooth_lora_dog',
      '--cfg-options',
      'model.model=./mine',
      '--explain',
    );
    t.match(out, /^model\.model = "\.\/mine" +# --cfg-options$/m);
    t.match(
      out,
      /^train_dataloader\.dataset\.class_image\.model = "\.\/mine" +# --cfg-options, by ref\('model\.model'\) in configs\/_base_\/datasets\/\w+\.ts$/m,
      'a ref is set where its target is',
    );
    t.match(out, /^optim_wrapper\.optimizer\.lr = 0\.0001 +# configs\/_base_\/schedules\/stable_diffusion_1k\.ts$/m);
  },
);

void t.test('describe shows components, their schemas, and the nearest name', async (t) => {
  t.match(diffengine('.', 'describe', 'L2Loss'), {
    code: 0,
    out: /^L2Loss \(LOSSES\)\nMean squared error\.\n\noptions:\n {2}loss_weight +number, default 1\n/,
  });
  t.match(JSON.parse(diffengine('.', 'describe', 'L2Loss', '--json').out), {
    type: 'object',
    properties: { loss_weight: { default: 1 } },
  });
  t.match(diffengine('.', 'describe'), { code: 0, out: /^MODELS\n( {2}.+\n)* {2}StableDiffusion / });
  t.match(JSON.parse(diffengine('.', 'describe', '--json').out), {
    properties: { model: {} },
    definitions: { HOOKS: {} },
  });
  t.strictSame(diffengine('.', 'describe', 'L2Los'), {
    code: 1,
    out: '',
    err: 'diffengine: L2Los: no component or config of that name; did you mean "L2Loss"?\n',
  });
});

void t.test('an error the user can mend is one message; --debug adds the stack', async (t) => {
  t.strictSame(diffengine('.', 'describe', 'nowhere/x.yaml'), {
    code: 1,
    out: '',
    err: 'diffengine: nowhere/x.yaml: no such config file; no config is in ' + join(process.cwd(), 'nowhere') + '\n',
  });
  t.match(diffengine('.', 'describe', 'nowhere/x.yaml', '--debug'), {
    code: 1,
    err: /^UserError: nowhere\/x\.yaml: no such config file[^]*\n +at /,
  });
});
