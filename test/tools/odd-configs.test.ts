/** Configs that would end the process, hang it or blow it up: exit code 1 and one line. */
import t from 'tap';
import { Project, refuses, SMALL_CONFIG } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);

const leave = 'a config only says what to do, leave it out';
const CASES: readonly { name: string; file: string; text: string; message: string | RegExp }[] = [
  {
    name: 'that never settles',
    file: 'my.ts',
    text: 'await new Promise(() => {});\nexport default {};\n',
    message: './my.ts: never finishes: it awaits something that does not come; mend its top-level await',
  },
  {
    name: 'in JavaScript that never settles',
    file: 'my.mjs',
    text: 'await new Promise(() => {});\nexport default {};\n',
    message: './my.mjs: never finishes: it awaits something that does not come; mend its top-level await',
  },
  {
    name: 'that calls process.exit(0)',
    file: 'my.ts',
    text: 'process.exit(0);\nexport default {};\n',
    message: `./my.ts: calls process.exit(0); ${leave}`,
  },
  {
    name: 'that calls process.exit() a moment later',
    file: 'my.ts',
    text: 'setTimeout(() => process.exit(), 50);\nawait new Promise((done) => setTimeout(done, 2000));\nexport default {};\n',
    message: `./my.ts: calls process.exit(); ${leave}`,
  },
  {
    name: 'that rejects',
    file: 'my.ts',
    text: "await Promise.reject(new Error('no luck'));\nexport default {};\n",
    message: /^diffengine: \.\/my\.ts: stops with Error: no luck; mend it .+\n$/,
  },
  {
    name: 'that throws no error',
    file: 'my.mjs',
    text: "throw 'a text';\n",
    message: './my.mjs: throws a text; mend it',
  },
  {
    name: 'that holds itself',
    file: 'my.ts',
    text: 'const a = { model: {} };\na.model.a = a;\nexport default a;\n',
    message: './my.ts: model.a holds itself; write each value once, where it belongs',
  },
  {
    name: 'whose YAML holds itself',
    file: 'my.yaml',
    text: 'model: &a { type: StableDiffusion, model: *a }\n',
    message: './my.yaml: model.model holds itself; mend the YAML',
  },
  {
    name: 'whose aliases multiply',
    file: 'my.yaml',
    text: [
      'a: &a [x,x,x,x,x,x,x,x,x]',
      ...[...'bcdefg'].map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdef'[i]}`)}]`),
    ].join('\n'),
    message: './my.yaml: its aliases (*name) stand for far more than is written; mend the YAML',
  },
  {
    name: 'with an alias of nothing',
    file: 'my.yaml',
    text: 'model: *nobody\n',
    message: /^diffengine: \.\/my\.yaml(:1)?: Unresolved alias.+; mend the YAML\n$/,
  },
  {
    name: 'nested without end',
    file: 'my.yaml',
    text: `model: ${'['.repeat(5000)}${']'.repeat(5000)}\n`,
    message: /^diffengine: \.\/my\.yaml.*: .*nested more than 64 deep; mend the YAML\n$/,
  },
  {
    name: 'with a tag that nobody knows',
    file: 'my.yaml',
    text: 'model: !!python/object:os.system x\n',
    message: /^diffengine: \.\/my\.yaml:1: Unresolved tag: .+; mend the YAML\n$/,
  },
];

for (const { name, file, text, message } of CASES)
  void t.test(`a config ${name} is refused in one line`, async (t) => {
    const project = Project.create(t, { [file]: text });
    refuses(t, project, await project.run(['train', file]), message);
    t.strictSame(project.files(), [file]);
  });

void t.test('a component that ends the process, or waits for ever, is no success', async (t) => {
  const hook = (body: string): string => `import { Hook, HOOKS } from 'diffengine';
@HOOKS.register()
export class Odd extends Hook {
  static readonly options = { description: 'odd', type: 'object', additionalProperties: false, properties: {} } as const;
  override async afterTrainIter(): Promise<void> { ${body} }
}
`;
  const config = `${SMALL_CONFIG.replace('custom_hooks: {', 'custom_hooks: { odd: { type: Odd },')}custom_imports: [./odd.ts]\n`;
  for (const [body, what] of [
    ['process.exit(0);', 'something called process.exit()'],
    ['await new Promise(() => {});', 'it waits for something that never comes'],
  ]) {
    const project = Project.create(t, { 'my.yaml': config, 'odd.ts': hook(body) });
    project.installPackage();
    const { code, err } = await project.run(['train', 'my.yaml']);
    t.equal(code, 1, body);
    t.match(err, `diffengine: ended before its work was done: ${what}; look at your own components\n`);
  }
});

void t.test('a seed of 64 bits is refused by name, wherever it is given', async (t) => {
  const project = Project.create(t),
    seed = '18446744073709551615';
  const tooLarge = 'randomness.seed: 18446744073709552000 is too large; at most 2^53 - 1 (9007199254740991)';
  refuses(t, project, await project.run(['train', 'my.yaml', '--seed', seed]), tooLarge);
  refuses(t, project, await project.run(['train', 'my.yaml', '--cfg-options', `randomness.seed=${seed}`]), tooLarge);
  refuses(
    t,
    project,
    await project.run(['make-model', 'tiny-random', '--out', 'm', '--seed', seed]),
    `--seed ${seed}: not a whole number from 0 to 2^53 - 1; leave it out for 0`,
  );
  refuses(
    t,
    project,
    await project.run(['train', 'my.yaml', '--cfg-options', `train_dataloader.batch_size=${seed}`]),
    'train_dataloader.batch_size: 18446744073709552000 is too large; at most 2^53 - 1 (9007199254740991)',
  );
  t.strictSame(project.files(), ['my.yaml']);
});
