/** Mistakes in components of the user's own: the message names the file or the component, and what to do. */
import t from 'tap';
import { Project, SMALL_CONFIG } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);

const hook = (body: string, options = "static readonly options = { description: 'mine', type: 'object' };"): string =>
  `import { Hook, HOOKS, inject } from 'diffengine';\n@HOOKS.register()\nexport class MyHook extends Hook {\n  ${options}\n  ${body}\n}\n`;
const USE_HOOK = ['custom_hooks.mine={type: MyHook}'];

const MISTAKES: readonly { name: string; mine: string; options?: readonly string[]; message: string | RegExp }[] = [
  {
    name: 'throws when it is imported',
    mine: "throw new Error('boom');\n",
    message: 'diffengine: ./mine.ts: stops with Error: boom; mend it (--debug shows the line)\n',
  },
  {
    name: 'imports what is not installed',
    mine: "import 'nonsense';\n",
    message: /^diffengine: \.\/mine\.ts: Cannot find package 'nonsense' .+; check the import\n$/,
  },
  {
    name: 'has no options',
    mine: hook('', ''),
    options: USE_HOOK,
    message:
      "diffengine: HOOKS: \"MyHook\" does not say what its options are; add static readonly options = { description: '...', type: 'object', additionalProperties: false, properties: {} }\n",
  },
  {
    name: 'has options that are no schema',
    mine: hook(
      '',
      "static readonly options = { description: 'x', type: 'object', properties: { a: { type: 'integr' } } };",
    ),
    options: USE_HOOK,
    message:
      /^diffengine: custom_hooks\.mine: the options of this component are not a valid JSON schema \(.+\); mend its static options\n$/,
  },
  {
    name: 'takes the name of a component',
    mine: hook('').replace('MyHook', 'EMAHook'),
    message: /HOOKS: "EMAHook" is registered twice; choose another name\n$/,
  },
  {
    name: 'asks for a service that is not there',
    mine: hook("constructor(@inject('disk') _disk: string) { super(); }"),
    options: USE_HOOK,
    message:
      /^diffengine: MyHook: its constructor cannot be called \(.*"disk".*\); name OPTIONS, LOGGER or other tokens .+\n$/,
  },
  {
    name: 'does not say what its second parameter is',
    mine: hook('constructor(_options: object, _log: object) { super(); }'),
    options: USE_HOOK,
    message:
      'diffengine: MyHook: its constructor takes 2 parameters and is given 1; say what each is, e.g. static readonly inject = [OPTIONS, LOGGER]\n',
  },
  {
    name: 'throws during the run',
    mine: hook("override async beforeTrain(): Promise<void> { throw new Error('my own bug'); }"),
    options: USE_HOOK,
    message: 'diffengine: my own bug\nIt comes from ./mine.ts; --debug shows where it happened.\n',
  },
  {
    name: 'is a loss that is no single number',
    mine: "import { Loss, LOSSES, ops, type Tensor } from 'diffengine';\n@LOSSES.register()\nexport class MyLoss extends Loss {\n  static readonly options = { description: 'mine', type: 'object' };\n  apply(a: Tensor, b: Tensor): Tensor { return ops.sub(a, b); }\n}\n",
    options: ['model.loss={type: MyLoss}'],
    message:
      'diffengine: model: its loss has shape [1,4,8,8], not that of one number; a loss ends with ops.mean(...) or ops.sum(...)\n',
  },
];

for (const { name, mine, options = [], message } of MISTAKES) {
  void t.test(`custom_imports: a component that ${name}`, async (t) => {
    const project = Project.create(t, { 'my.yaml': `custom_imports: [./mine.ts]${SMALL_CONFIG}`, 'mine.ts': mine });
    const { code, err } = await project.run(['train', 'my.yaml', '--cfg-options', 'train_cfg.max_iters=1', ...options]);
    t.equal(code, 1);
    const text = err.replaceAll(project.path, '.');
    if (typeof message === 'string') t.equal(text, message);
    else t.match(text, message);
    t.notMatch(err, /\n\s+at |defect of diffengine/);
  });
}

void t.test('custom_imports: what is not a list of files is refused', async (t) => {
  const project = Project.create(t);
  for (const value of ['5', '[5]', './hook.ts']) {
    const { code, err } = await project.run(['train', 'my.yaml', '--cfg-options', `custom_imports=${value}`]);
    t.equal(code, 1);
    t.match(
      err,
      /^diffengine: custom_imports: expected a list of files, got .+; write custom_imports: \['\.\/my_hook\.ts'\]\n$/,
    );
  }
});
