/** `diffengine completion`, as the shells themselves understand it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { Project } from '../fixtures/tools/cli.js';

t.setTimeout(120_000);
const has = (shell: string): boolean => spawnSync(shell, ['-c', 'true']).status === 0;

void t.test('bash completes commands, configs, options, components and paths of --cfg-options', async (t) => {
  const project = Project.create(t, {}),
    script = await project.run(['completion', 'bash']);
  t.strictSame([script.code, script.err], [0, '']);
  const asked = [
    'tr',
    'train small_sd_dreambooth_lora_d',
    'train x --res',
    'describe EarlyS',
    'plan x --cfg-options train_cfg.m',
    'train x --cfg-options train_cfg.max_iters = 1',
    'copy-cfg nothing',
  ];
  // As readline calls it: compopt is of no use outside of a press of Tab.
  const typed = asked.map((line) => `press diffengine ${line}`).join('\n');
  const press = `compopt() { :; }; press() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _diffengine; echo "\${COMPREPLY[*]}"; }`;
  const out = execFileSync('bash', ['-c', `${script.out}\n${press}\n${typed}`], { encoding: 'utf8' });
  t.strictSame(out.split('\n').slice(0, -1), [
    'train',
    'small_sd_dreambooth_lora_dog small_sd_dreambooth_lora_dog_cpu',
    '--resume',
    'EarlyStoppingHook',
    'train_cfg.max_iters=',
    '',
    '',
  ]);
});

void t.test('fish completes the same', { skip: !has('fish') && 'fish is not installed' }, async (t) => {
  const project = Project.create(t, {}),
    { out: script } = await project.run(['completion', 'fish']);
  const ask = (line: string): string[] =>
    execFileSync('fish', ['-c', `${script}\ncomplete -C '${line}'`], {
      encoding: 'utf8',
      env: { ...process.env, HOME: project.path },
    })
      .split('\n')
      .flatMap((one) => one.split('\t')[0] || []);
  t.strictSame(ask('diffengine copy'), ['copy-cfg']);
  t.strictSame(ask('diffengine train x --cfg-options train_cfg.m'), ['train_cfg.max_iters=']);
  t.strictSame(ask('diffengine train tiny_random_sd_dr'), ['tiny_random_sd_dreambooth_lora_dog']);
});

void t.test('zsh reads its script', { skip: !has('zsh') && 'zsh is not installed' }, async (t) => {
  const project = Project.create(t, {}),
    { out } = await project.run(['completion', 'zsh']);
  const { status, stderr } = spawnSync(
    'zsh',
    [
      '-f',
      '-c',
      `autoload -U compinit; compinit -D -d ${join(project.path, 'dump')}\n${out}\necho $_comps[diffengine]`,
    ],
    { encoding: 'utf8' },
  );
  t.strictSame([status, stderr], [0, '']);
});

void t.test('another shell is refused', async (t) => {
  const { code, err } = await Project.create(t, {}).run(['completion', 'tcsh']);
  t.equal(code, 1);
  t.match(err, /value 'tcsh' is invalid for argument 'shell'/);
});
