/** TypeScript of the user's own: components in every way of writing them, through both loaders. */
import t from 'tap';
import { Project, SMALL_CONFIG } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);

const options = (text: string): string =>
  `static readonly options = { description: '${text}', type: 'object', additionalProperties: false, properties: { word: { type: 'string', default: '${text}' } } } as const satisfies OptionsSchema;`;
const body = 'override async beforeTrain(): Promise<void> { this.log.info(`hello ${this.opts.word}`); }';
const imports = "import { Hook, HOOKS, inject, LOGGER, OPTIONS, type Logger, type OptionsSchema } from 'diffengine';";

const FILES = {
  'legacy.ts': `${imports}\n@HOOKS.register()\nexport class Legacy extends Hook {\n ${options('legacy')}
    constructor(@inject(OPTIONS) readonly opts: { word: string }, @inject(LOGGER) readonly log: Logger) { super(); }\n ${body}\n}`,
  'standard.ts': `${imports}\n@HOOKS.register('Standard')\nexport class Named extends Hook {\n ${options('standard')}
    static readonly inject = [OPTIONS, LOGGER];\n constructor(readonly opts: { word: string }, readonly log: Logger) { super(); }\n ${body}\n}`,
  // what Node alone could run: its syntax is JavaScript's but for the types
  'plain.ts': `${imports}\nimport { Named } from './standard.js';\nimport { word } from './word';\nvoid word;\nvoid inject;\nexport class Plain extends Named {\n ${options('plain')}\n}\nHOOKS.register(Plain);`,
  'word.ts': 'export enum Word { a = "a" }\nexport const word: Word = Word.a;',
  'my.yaml': `custom_imports: [./legacy.ts, ./standard.ts, ./plain.ts]${SMALL_CONFIG.replace('custom_hooks: {', 'custom_hooks: { a: { type: Legacy }, b: { type: Standard }, c: { type: Plain },')}`,
  'wrong.ts': "import { defineConfig } from 'diffengine';\n\nexport default defineConfig({ model: });\n",
  'missing.ts': "import './nowhere.js';\nexport default {};\n",
  'throws.ts': "interface Long {\n  a: number;\n}\n\nexport const a: Long = { a: 1 };\nthrow new Error('boom');\n",
};
const SEVEN = { 'node_modules/typescript/package.json': '{ "name": "typescript", "version": "7.0.2" }' };

for (const [loader, more] of [
  ['ts-node, with TypeScript 5', {}],
  ['oxc, with TypeScript 7', SEVEN],
] as const) {
  void t.test(
    `${loader}: decorators of either kind or none, services by name, paths as TypeScript has them`,
    async (t) => {
      const project = Project.create(t, { ...FILES, ...more });
      const { code, out, err } = await project.run(['train', 'my.yaml', '--cfg-options', 'train_cfg.max_iters=1']);
      t.equal(code, 0, err);
      t.strictSame(
        [...out.matchAll(/hello (\w+)/g)].map(([, word]) => word),
        ['legacy', 'standard', 'plain'],
      );
    },
  );

  void t.test(`${loader}: mistakes name the file and its line`, async (t) => {
    const project = Project.create(t, { ...FILES, ...more });
    const wrong = await project.run(['describe', 'wrong.ts']);
    t.match(wrong.err, /^diffengine: \S*wrong\.ts:3: .+; mend the syntax\n$/);
    const missing = await project.run(['describe', 'missing.ts']);
    t.match(missing.err, /^diffengine: \S*missing\.ts: Cannot find module '\S+nowhere\.js' .+; check the import\n$/);
    const throws = await project.run(['train', 'throws.ts', '--debug']);
    t.match(throws.err, /throws\.ts:6:7/);
  });
}
