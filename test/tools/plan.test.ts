import t from 'tap';
import type { Plan } from '../../src/planning/plan.js';
import { Project, refuses } from '../fixtures/tools/cli.js';

t.setTimeout(120_000);

void t.test('plan says parameters, arithmetic, memory and times, and leaves nothing behind', async (t) => {
  const project = Project.create(t),
    before = project.files();
  const { code, out, err } = await project.run(['plan', 'my.yaml']);
  t.equal(code, 0, err);
  t.match(out, /^model +StableDiffusion: 4,352 trained and 601,444 frozen parameters$/m);
  t.match(out, /^step +1 pictures of 64 x 64 px: [\d.]+ M multiply-adds, [\d.]+ M operations, [\d.]+ ms$/m);
  t.match(out, /^job +2 iterations: [\d.]+ [MG] operations, [\d.]+ m?s$/m);
  t.match(out, /^ {2}training +.*train_step x 2$/m);
  t.match(out, /^memory +\d\d\d MiB at most, of [\d.]+ GiB/m);
  t.match(out, /^measured +\d+ GFLOP\/s, \d+ GB\/s/m);
  t.strictSame(project.files(), before);
});

void t.test('plan --json gives bytes, operations and seconds', async (t) => {
  const { code, out } = await Project.create(t).run([
    'plan',
    'my.yaml',
    '--json',
    '--no-measuring',
    '--cfg-options',
    'train_cfg.max_iters=7',
  ]);
  t.equal(code, 0);
  const made = JSON.parse(out) as Plan & { memory: { fits: boolean; limit: number } };
  t.strictSame(made.batch, { rows: 1, height: 64, width: 64, accumulated: 1, iterations: 7 });
  t.equal(made.memory.fits, true);
  t.equal(
    made.total.flops,
    made.phases.reduce((n, p) => n + p.flops, 0),
  );
  t.notOk('seconds' in made.total);
});

void t.test('plan: what does not fit is exit code 1 with advice, after the plan', async (t) => {
  const project = Project.create(t),
    args = ['plan', 'my.yaml', '--no-measuring', '--memory', '0.1'];
  const { code, out, err } = await project.run(args);
  t.equal(code, 1);
  t.match(
    err,
    /^diffengine: memory: this run needs about \d\d\d MiB, there are 102 MiB; it would be killed or never end\. What helps:\n {2}- .+\n$/,
  );
  t.match(out, /^memory +\d\d\d MiB at most, of 102 MiB$/m);
  const json = await project.run([...args, '--json']);
  t.equal(json.code, 1);
  t.match(JSON.parse(json.out), { memory: { fits: false, limit: 107_374_182.4 }, advice: [String] });
});

void t.test('plan: --help shows examples', async (t) => {
  const { code, out } = await Project.create(t).run(['plan', '--help']);
  t.equal(code, 0);
  t.match(out, /Examples:\n {2}diffengine plan small_sd_dreambooth_lora_dog\n/);
});

for (const [what, args, message] of [
  ['a config that is not there', ['nowhere.yaml'], /^diffengine: nowhere\.yaml: no such config file/],
  [
    'a misspelt option',
    ['my.yaml', '--cfg-options', 'train_cfg.max_iter=3'],
    /^diffengine: train_cfg\.max_iter: unknown option; did you mean "max_iters"\?\n$/,
  ],
  ['a size that is none', ['my.yaml', '--memory', 'much'], 'memory: much: not a size; give GiB, such as 8'],
  [
    'a model that is neither here nor to be had',
    ['my.yaml', '--cfg-options', 'model.model=owner/sd'],
    /^diffengine: owner\/sd: no such folder, and the hub at http:\/\/127\.0\.0\.1:9 cannot be reached/,
  ],
  [
    'a folder without pictures',
    ['my.yaml', '--cfg-options', 'train_dataloader.dataset.dataset=.'],
    /no pictures in it/,
  ],
] as const) {
  void t.test(`plan: ${what} is one readable message and exit code 1`, async (t) => {
    const project = Project.create(t),
      finished = await project.run(['plan', '--no-measuring', ...args]);
    refuses(t, project, finished, typeof message === 'string' ? `--${message}` : message);
  });
}
