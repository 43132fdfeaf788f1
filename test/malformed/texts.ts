/** Configs in YAML and TypeScript, and single options of the command line. */
import { SMALL_CONFIG } from '../fixtures/tools/cli.js';
import { chance, pick, put, type Case } from './case.js';

const config = (name: string, file: string, text: string): Case => ({
  name,
  write: (folder) => put(folder, file, text),
  args: ['train', `{}/${file}`, '--work-dir', '{}/work'],
});

export function* yaml(): Generator<Case> {
  const one = (name: string, text: string): Case => config(`yaml: ${name}`, 'my.yaml', text);
  for (const [name, text] of Object.entries({
    empty: '',
    'a text': 'hello',
    'a list': '- a\n- b\n',
    'a number': '5',
    null: 'null',
    'two documents': `${SMALL_CONFIG}\n---\n${SMALL_CONFIG}`,
    'a tab': `${SMALL_CONFIG}\nwork_dir:\n\tx: 1\n`,
    'a key twice': `${SMALL_CONFIG}\ntrain_cfg: { max_iters: 3 }\n`,
    'an alias of nothing': `${SMALL_CONFIG}\nwork_dir: *x\n`,
    'an unknown tag': `${SMALL_CONFIG}\nwork_dir: !!js/function x\n`,
    'binary data': `${SMALL_CONFIG}\nwork_dir: !!binary aGVsbG8=\n`,
    'a set': `${SMALL_CONFIG}\ncustom_imports: !!set { a, b }\n`,
    'itself as a base': '_base_: ./my.yaml\n',
    'a base that is not there': '_base_: ./none.yaml\n',
    'a number as a base': '_base_: 5\n',
    'a ref to nothing': `${SMALL_CONFIG}\nwork_dir: !ref no.such\n`,
    'a ref to itself': `${SMALL_CONFIG}\nwork_dir: !ref work_dir\n`,
    'a value that holds itself': 'model: &a { type: StableDiffusion, model: *a }\n',
    'a list that holds itself': 'custom_imports: &a [*a]\n',
    'aliases that multiply': [
      'a: &a [x,x,x,x,x,x,x,x,x]',
      ...[...'bcdefgh'].map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefg'[i]}`)}]`),
    ].join('\n'),
    'depth without end': `model: ${'{a: '.repeat(3000)}1${'}'.repeat(3000)}\n`,
    'a name of the prototype': '__proto__: { a: 1 }\n',
    'numbers that are none': SMALL_CONFIG.replace('1e-4', '.nan'),
    'a zero byte': `${SMALL_CONFIG}\nwork_dir: "a\u0000b"\nx: 1\n`,
  }))
    yield one(name, text);
  for (let i = 0; i < 20; i++) {
    const stream = chance(`yaml ${i}`);
    const brackets = [...SMALL_CONFIG.matchAll(/[[{\]}]/g)].map(({ index }) => index),
      at = pick(stream, brackets);
    yield one(`without bracket ${i} of chance`, SMALL_CONFIG.slice(0, at) + SMALL_CONFIG.slice(at + 1));
  }
}

export function* typescript(): Generator<Case> {
  const one = (name: string, text: string): Case => config(`ts: ${name}`, 'my.ts', text);
  for (const [name, text] of Object.entries({
    empty: '',
    'no default export': 'export const a = {};',
    'a number': 'export default 5;',
    'a list': 'export default [1];',
    null: 'export default null;',
    'a function': 'export default () => ({});',
    'an open bracket': 'export default {',
    'an open text': "export default { a: 'x };",
    'a throw': "throw new Error('no');",
    'a throw of a text': "throw 'no';",
    'a throw of nothing': 'throw undefined;',
    'an import that is not there': "import './none.js';\nexport default {};",
    'a package that is not there': "import 'no-such-package-here';\nexport default {};",
    'a name that is not exported': "import { nobody } from 'node:fs';\nexport default { nobody };",
    'a function inside': 'export default { model: { type: () => 1 } };',
    'a date inside': 'export default { model: { type: new Date(0) } };',
    'a bigint inside': 'export default { randomness: { seed: 5n } };',
    'a symbol inside': 'export default { work_dir: Symbol("x") };',
    'itself inside': 'const a: any = { model: {} };\na.model.a = a;\nexport default a;',
    'a getter that throws': "export default { get model() { throw new Error('no'); } };",
    'an undefined name': 'export default { model: nobody };',
    'a call of process.exit(0)': 'process.exit(0);\nexport default {};',
    'a call of process.exit(7)': 'process.exit(7);\nexport default {};',
    'a wait for ever': 'await new Promise(() => {});\nexport default {};',
    'a rejection': "await Promise.reject(new Error('no'));\nexport default {};",
    'a stack without end': 'const f = (): number => f() + 1;\nexport default { a: f() };',
  }))
    yield one(name, text);
}

export function* options(): Generator<Case> {
  const one = (...given: string[]): Case => ({
    name: `option: ${given.join(' ').slice(0, 60)}`,
    opensWorkDir: given.some((text) => /target_modules=[^[{]/.test(text)), // a text, which no module has for a name
    write: (folder) => put(folder, 'my.yaml', SMALL_CONFIG),
    args: ['train', '{}/my.yaml', '--work-dir', '{}/work', '--cfg-options', ...given],
  });
  for (const given of [
    'train_cfg.max_iters',
    '=5',
    'a..b=1',
    '.=1',
    'no_such_option=1',
    '__proto__.a=1',
    'constructor.a=1',
    'train_cfg.max_iters=#5',
    'train_cfg.max_iters=5 # five',
    'train_cfg.max_iters=many',
    'train_cfg.max_iters=0',
    'train_cfg.max_iters=-1',
    'train_cfg.max_iters=1.5',
    'train_cfg.max_iters=1e300',
    'train_cfg.max_iters=.inf',
    'train_cfg.max_iters=.nan',
    'train_cfg.max_iters=null',
    'train_cfg.max_iters=[1',
    'train_cfg.max_iters=[1]',
    'train_cfg.max_iters={a: 1}',
    'train_cfg.max_iters=*x',
    'train_cfg.max_iters=!!js x',
    'train_cfg=5',
    'train_cfg=',
    'model=null',
    'model.type=Nobody',
    'model.type=',
    'model.unet_lora_config.r=0',
    'model.unet_lora_config.r=x',
    'model.unet_lora_config.target_modules=5',
    'model.unet_lora_config.target_modules=[5]',
    'model.unet_lora_config.target_modules={a: 1}',
    'model.unet_lora_config.target_modules=&a [*a]',
    'model.unet_lora_config.type=x',
    'optim_wrapper.optimizer.lr=-1',
    'optim_wrapper.optimizer.lr=high',
    'optim_wrapper.optimizer.betas=[0.9]',
    'optim_wrapper.clip_grad.max_norm=0',
    'optim_wrapper.accumulative_counts=0',
    'optim_wrapper.loss_scale=5',
    'optim_wrapper.type=Other',
    'train_dataloader.batch_size=0',
    'train_dataloader.batch_size=99999999999999999999',
    'train_dataloader.dataset.pipeline=5',
    'train_dataloader.dataset.pipeline.9={type: ToTensor}',
    'train_dataloader.dataset.pipeline.x=5',
    'train_dataloader.dataset.pipeline.0.size=0',
    'train_dataloader.dataset.pipeline.0.type=Nobody',
    'randomness.seed=18446744073709551615',
    'randomness.seed=-1',
    'custom_hooks=5',
    'custom_hooks.peft=5',
    'custom_hooks.x={type: Nobody}',
    'default_hooks.logger.interval=0',
    'custom_imports=5',
    'custom_imports=[./none.ts]',
    'backend=5',
    'backend.type=Nobody',
    'backend={type: OnnxRuntimeBackend, device: toaster}',
    'param_scheduler={type: Nobody}',
    'val_cfg.seeds=0',
    'val_cfg.height=7',
    'val_evaluator=[]',
    `model.loss=${'['.repeat(2000)}`,
  ])
    yield one(given);
  for (const [name, args] of Object.entries({
    seed: ['--seed', 'x'],
    'a seed of 64 bits': ['--seed', '18446744073709551615'],
    backend: ['--backend', 'nobody'],
  }))
    yield {
      ...one('train_cfg.max_iters=1'),
      name: `option: ${name}`,
      args: ['train', '{}/my.yaml', '--work-dir', '{}/work', ...args],
    };
}
