import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { cruise, type ICruiseResult, type IForbiddenRuleType } from 'dependency-cruiser';
import t from 'tap';

interface Config {
  readonly FLOORS: readonly string[];
  readonly default: { readonly forbidden: IForbiddenRuleType[]; readonly options: object };
}
const { FLOORS, default: config } = (await import(pathToFileURL(resolve('.dependency-cruiser.mjs')).href)) as Config;

/** Rules that a tree of files breaks, with the import that breaks them. */
async function broken(folder: string): Promise<string[]> {
  const { output } = await cruise(['src'], {
    ...config.options,
    tsConfig: {},
    baseDir: folder,
    ruleSet: { forbidden: config.forbidden },
    validate: true,
  });
  return (output as ICruiseResult).summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`);
}

void t.test('an import that runs uphill is found, types included; one that runs downhill is not', async (t) => {
  const folder = t.testdir({
    src: {
      base: { 'errors.ts': 'export class UserError extends Error {}\n' },
      tensor: {
        'tensor.ts':
          "import { UserError } from '../base/errors.js';\nexport const fail = (): never => { throw new UserError('x'); };\n",
        'planted.ts': "import type { Runner } from '../engine/runner.js';\nexport type Planted = Runner;\n",
      },
      engine: { 'runner.ts': "import { fail } from '../tensor/tensor.js';\nexport class Runner { run = fail; }\n" },
    },
  });
  t.strictSame(await broken(folder), ['not-up-from-tensor: src/tensor/planted.ts -> src/engine/runner.ts']);
});

void t.test('a circle inside a room is found', async (t) => {
  const folder = t.testdir({
    src: {
      tensor: {
        'a.ts': "import { b } from './b.js';\nexport const a = (): number => b();\n",
        'b.ts': "import { a } from './a.js';\nexport const b = (): number => a();\n",
      },
    },
  });
  const found = await broken(folder);
  t.equal(found.length, 1);
  t.match(found[0], /^no-circles: src\/tensor\/[ab]\.ts -> src\/tensor\/[ab]\.ts$/);
});

void t.test('every room of src/ has its floor in the table', async (t) => {
  for (const room of await readdir('src')) t.ok(FLOORS.includes(room), room);
});
