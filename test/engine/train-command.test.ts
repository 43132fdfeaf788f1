import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const file = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** Runs the command line in `cwd`; what it costs is said in the run with a seed alone. */
function diffengine(cwd: string, ...args: string[]): { code: number | null; out: string; err: string } {
  const quick = args[0] === 'train' && !args.includes('--seed') ? ['--no-estimate'] : [];
  const { status, stdout, stderr } = spawnSync(process.execPath, [file('../../tools/cli.js'), ...args, ...quick], {
    cwd,
    encoding: 'utf8',
  });
  return { code: status, out: stdout, err: stderr };
}

/** A folder with a config of the linear model. */
function folder(t: { testdir(content: Record<string, string>): string }): string {
  return t.testdir({
    'linear.yaml': `
custom_imports: ['${file('../fixtures/engine/linear.js')}']
model: { type: LinearModel }
train_dataloader: { batch_size: 3, dataset: { type: NoisePictures } }
optim_wrapper: { optimizer: { type: AdamW, lr: 0.05 } }
train_cfg: { max_iters: 6 }
default_hooks: { logger: { type: LoggerHook, interval: 3 }, checkpoint: { type: CheckpointHook, interval: 3 } }
custom_hooks: { peft: { type: PeftSaveHook }, ema: { type: EMAHook } }
`,
  });
}

void t.test(
  'train: says what it trains, leaves log, config and checkpoints in work_dirs/<config name>, and exits 0',
  async (t) => {
    const cwd = folder(t),
      { code, out, err } = diffengine(cwd, 'train', 'linear.yaml', '--seed', '7', '--backend', 'reference');
    t.equal(err, '');
    t.equal(code, 0);
    t.match(out, /model +LinearModel: 0 frozen and 13 trainable parameters, on reference/);
    t.match(out, /data +NoisePictures: 20 samples, batches of 3/);
    t.match(out, /training +6 iterations with AdamW, learning rate 0\.05, seed 7/);
    t.match(out, /iter 6\/6 {2}loss/);
    t.match(out, /^estimate {3}\S+ [KMGT]? ?operations \(diffengine plan foretells how long they take\), \d+ MiB of /m);
    t.match(
      out,
      /\nnext:\n {2}npx diffengine train linear\.yaml --backend reference --seed 7 --resume --cfg-options train_cfg\.max_iters=12\n/,
    );
    t.match(out, new RegExp(`done: ${join('work_dirs', 'linear', 'step5')}`));
    for (const name of [
      'config.yaml',
      'log.jsonl',
      'last_checkpoint',
      'step2/run.json',
      'step5/linear/model.safetensors',
    ])
      t.ok(existsSync(join(cwd, 'work_dirs', 'linear', name)), name);
  },
);

void t.test('train: the config in the work dir trains the same run again', async (t) => {
  const cwd = folder(t);
  diffengine(
    cwd,
    'train',
    'linear.yaml',
    '--work-dir',
    'a',
    '--backend',
    'ReferenceBackend',
    '--cfg-options',
    'train_cfg.max_iters=3',
  );
  const again = diffengine(cwd, 'train', 'a/config.yaml', '--work-dir', 'b');
  t.equal(again.code, 0, again.err);
  t.equal(readFileSync(join(cwd, 'b', 'log.jsonl'), 'utf8'), readFileSync(join(cwd, 'a', 'log.jsonl'), 'utf8'));
  t.equal(readFileSync(join(cwd, 'b', 'config.yaml'), 'utf8'), readFileSync(join(cwd, 'a', 'config.yaml'), 'utf8'));
});

void t.test('train: --resume goes on where the run ended', async (t) => {
  const cwd = folder(t);
  diffengine(cwd, 'train', 'linear.yaml', '--cfg-options', 'train_cfg.max_iters=3');
  const { code, out } = diffengine(cwd, 'train', 'linear.yaml', '--resume');
  t.equal(code, 0);
  t.match(out, /resumed from .*step2, next iteration 3/);
});

for (const [name, args, message] of [
  [
    'a config that does not exist',
    ['nowhere.yaml'],
    /^diffengine: nowhere\.yaml: no such config file; did you mean "linear\.yaml"\?\n$/,
  ],
  [
    'an unknown option',
    ['linear.yaml', '--cfg-options', 'optim_wrapper.optimizer.lrr=1'],
    /^diffengine: optim_wrapper\.optimizer\.lrr: unknown option; did you mean "lr"\?\n$/,
  ],
  [
    'a wrong type',
    ['linear.yaml', '--cfg-options', 'train_cfg.max_iters=many'],
    /^diffengine: train_cfg\.max_iters: expected integer, got "many"\n$/,
  ],
  [
    'an unknown component',
    ['linear.yaml', '--cfg-options', 'custom_hooks.ema.type=EmaHook'],
    /^diffengine: .*EmaHook.*EMAHook/s,
  ],
  [
    'an unknown backend',
    ['linear.yaml', '--backend', 'tensorflow'],
    /^diffengine: backend\.type: unknown backend "tensorflow"; known: .*OnnxRuntimeBackend/,
  ],
  [
    'a work dir that is a file',
    ['linear.yaml', '--work-dir', 'linear.yaml'],
    /^diffengine: .*linear\.yaml: cannot be written: it is a file, not a folder; choose another place with --work-dir\n$/,
  ],
  [
    'a loss that is not a number',
    ['linear.yaml', '--cfg-options', 'model.nan_at=4'],
    /^diffengine: iteration 4: loss is NaN/,
  ],
  [
    'a checkpoint that does not exist',
    ['linear.yaml', '--resume', 'nowhere'],
    /^diffengine: .*nowhere: cannot resume from this checkpoint \(no such folder\)/,
  ],
] as const) {
  void t.test(`train: ${name} is one readable message and exit code 1`, async (t) => {
    const { code, err } = diffengine(folder(t), 'train', ...args);
    t.equal(code, 1);
    t.match(err, message);
    t.notMatch(err, /\n\s+at /, 'no stack');
  });
}

void t.test('train: --debug shows the stack', async (t) => {
  t.match(
    diffengine(folder(t), 'train', 'linear.yaml', '--debug', '--cfg-options', 'model.nan_at=1').err,
    /UserError: iteration 1: loss is NaN.*\n\s+at /,
  );
});

void t.test('train: nothing is written when the config is wrong', async (t) => {
  const cwd = folder(t);
  diffengine(cwd, 'train', 'linear.yaml', '--cfg-options', 'model.type=Linear');
  t.notOk(existsSync(join(cwd, 'work_dirs')));
});

void t.test(
  'demo_lora: a checkpoint that does not exist, or does not name its base, is one readable message',
  async (t) => {
    const cwd = folder(t);
    writeFileSync(join(cwd, 'adapter.safetensors'), '');
    t.match(diffengine(cwd, 'demo_lora', 'a dog', 'nowhere'), {
      code: 1,
      err: /^diffengine: nowhere: no such checkpoint or adapter/,
    });
    t.match(diffengine(cwd, 'demo_lora', 'a dog', 'adapter.safetensors'), {
      code: 1,
      err: /adapter\.safetensors: does not say which model it was trained on; give it with --sdmodel/,
    });
    t.match(diffengine(cwd, 'demo_lora', 'a dog', 'adapter.safetensors', '--height', '100'), {
      code: 1,
      err: /not a multiple of 8/,
    });
  },
);
