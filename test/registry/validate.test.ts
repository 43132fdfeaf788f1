import { Ajv } from 'ajv';
import { inject } from 'inversify';
import t from 'tap';
import { loadComponents } from '../../src/components.js';
import { Hook, HOOKS } from '../../src/engine/hook.js';
import { createBuild } from '../../src/registry/container.js';
import { componentList, componentText, explainText, findComponents } from '../../src/registry/describe.js';
import { editorSchema } from '../../src/registry/editor-schema.js';
import type { Tree } from '../../src/registry/merge.js';
import { allRegistries } from '../../src/registry/registry.js';
import type { OptionsSchema, Output } from '../../src/registry/schema.js';
import { BUILD, LOGGER, OPTIONS, type Build } from '../../src/registry/tokens.js';
import { type Logger } from '../../src/base/logger.js';
import { validateComponent, validateConfig } from '../../src/registry/validate.js';

await loadComponents();

const silent: Logger = { info: () => undefined, warn: () => undefined, debug: () => undefined };

@HOOKS.register()
class NestingHook extends Hook {
  static readonly options = {
    description: 'Holds another hook.',
    type: 'object',
    additionalProperties: false,
    properties: {
      inner: { type: ['object', 'null'], component: 'HOOKS', default: null, description: 'another hook' },
      prompt: {
        anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' }, minItems: 1 }],
        default: 'x',
        description: 'one or more',
      },
      nested: {
        type: 'object',
        additionalProperties: false,
        default: {},
        properties: { depth: { type: 'integer', default: 3, description: 'levels' } },
        description: 'more',
      },
    },
  } as const satisfies OptionsSchema;
  readonly inner: Hook | undefined;
  constructor(
    @inject(OPTIONS) readonly opts: Output<typeof NestingHook.options>,
    @inject(BUILD) build: Build,
    @inject(LOGGER) readonly log: Logger,
  ) {
    super();
    this.inner = opts.inner ? build(HOOKS, opts.inner) : undefined;
  }
}

const valid = (): Record<string, unknown> => ({
  model: { type: 'StableDiffusion', model: 'x' },
  train_dataloader: { dataset: { type: 'ImageFolderDataset', dataset: 'x', pipeline: [{ type: 'ToTensor' }] } },
  optim_wrapper: { optimizer: { type: 'AdamW', lr: 1e-4 } },
  train_cfg: { max_iters: 10 },
});

const text = (name: string): string => findComponents(name).map(componentText).join();

/** The lines of the error for this config. */
function problems(changes: Tree): string[] {
  try {
    validateConfig({ ...valid(), ...changes });
    return [];
  } catch (error) {
    return (error as Error).message.split('\n');
  }
}

void t.test('validate: a good config gets the defaults of its own level', async (t) => {
  const config = validateConfig(valid());
  t.strictSame(config['randomness'], { seed: 0 });
  t.strictSame(config['train_cfg'], { max_iters: 10, type: 'IterBasedTrainLoop' });
  t.strictSame(config['backend'], { type: 'OnnxRuntimeBackend' });
});

void t.test('validate: unknown options and components come with the nearest name', async (t) => {
  t.strictSame(problems({ custom_hooks: { preview: { type: 'VisualizationHook', prompt: 'x', intervall: 5 } } }), [
    'custom_hooks.preview.intervall: unknown option; did you mean "interval"?',
  ]);
  t.strictSame(problems({ model: { type: 'StableDifusion', model: 'x' } }), [
    'model.type: unknown model "StableDifusion"; did you mean "StableDiffusion"?',
  ]);
  t.strictSame(problems({ trian_cfg: {} }), ['trian_cfg: unknown option; did you mean "train_cfg"?']);
  t.match(problems({ custom_hooks: { a: { interval: 5 } } }), [
    /^custom_hooks\.a\.type: missing; one of CheckpointHook, /,
  ]);
});

void t.test('validate: components inside components and lists are checked too', async (t) => {
  t.strictSame(
    problems({
      custom_hooks: { a: { type: 'NestingHook', inner: { type: 'NestingHook', inner: { type: 'Nope' } } } },
    })[0]?.slice(0, 56),
    'custom_hooks.a.inner.inner.type: unknown hook "Nope"; kn',
  );
  t.strictSame(
    problems({
      train_dataloader: {
        dataset: {
          type: 'ImageFolderDataset',
          dataset: 'x',
          pipeline: [{ type: 'ToTensor' }, { type: 'Resize', sise: 4 }],
        },
      },
    }),
    [
      'train_dataloader.dataset.pipeline.1.size: missing; it has no default',
      'train_dataloader.dataset.pipeline.1.sise: unknown option; did you mean "size"?',
    ],
  );
  t.strictSame(problems({ model: { type: 'StableDiffusion', model: 'x', loss: { type: 'L2los' } } }), [
    'model.loss.type: unknown loss "L2los"; did you mean "L2Loss"?',
  ]);
});

void t.test('validate: wrong values are shown with what was expected', async (t) => {
  t.strictSame(problems({ train_cfg: { max_iters: '100' } }), ['train_cfg.max_iters: expected integer, got "100"']);
  t.strictSame(problems({ train_cfg: { max_iters: 0 } }), ['train_cfg.max_iters: 0 must be >= 1']);
  t.strictSame(problems({ model: { type: 'StableDiffusion', model: 'x', prediction_type: 'velocity' } }), [
    'model.prediction_type: "velocity" is not one of "epsilon", "v_prediction", "sample", null',
  ]);
  t.strictSame(problems({ param_scheduler: 5 }), ['param_scheduler: expected object or array, got 5']);
  t.strictSame(problems({ work_dir: [...Array(99).keys()] }), [
    `work_dir: expected string, got ${JSON.stringify([...Array(99).keys()]).slice(0, 80)}...`,
  ]);
});

void t.test('validate: of an option with several forms, the form that was meant is judged', async (t) => {
  const hook = (prompt: unknown) => problems({ custom_hooks: { a: { type: 'NestingHook', prompt } } });
  t.strictSame(hook(5), ['custom_hooks.a.prompt: expected string or array, got 5']);
  t.strictSame(hook(['a', 5]), ['custom_hooks.a.prompt.1: expected string, got 5']);
  t.strictSame(hook([]), ['custom_hooks.a.prompt: [] must NOT have fewer than 1 items']);
  t.strictSame(hook(['a']), []);
});

void t.test('validate: all mistakes come at once', async (t) => {
  t.strictSame(
    problems({
      train_cfg: { max_iters: 1.5, foo: 1 },
      randomness: { seed: -1 },
      custom_hooks: { a: { type: 'PeftSaveHok' } },
    }),
    [
      'train_cfg.foo: unknown option; known: max_iters, type',
      'train_cfg.max_iters: expected integer, got 1.5',
      'randomness.seed: -1 must be >= 0',
      'custom_hooks.a.type: unknown hook "PeftSaveHok"; did you mean "PeftSaveHook"?',
    ],
  );
});

void t.test('validate: the config that is given stays as it is', async (t) => {
  const config = valid();
  validateConfig(config);
  t.strictSame(config, valid());
});

void t.test('validateComponent: options come back with defaults, also of nested objects', async (t) => {
  t.strictSame(validateComponent(HOOKS, { type: 'NestingHook', prompt: 'p' }), {
    prompt: 'p',
    inner: null,
    nested: { depth: 3 },
  });
  t.throws(() => validateComponent(HOOKS, { type: 'NestingHook', nested: { depth: 'x' } }), {
    name: 'UserError',
    message: 'hook.nested.depth: expected integer, got "x"',
  });
});

void t.test('build: a component gets its options, services, and build for its parts', async (t) => {
  const build = createBuild([[LOGGER, silent]]);
  const hook = build(HOOKS, { type: 'NestingHook', inner: { type: 'NestingHook', prompt: 'inner' } });
  t.ok(hook instanceof NestingHook);
  const { inner, log, opts } = hook as NestingHook;
  t.equal(log, silent);
  t.equal(opts.prompt, 'x');
  t.strictSame((inner as NestingHook).opts, { prompt: 'inner', inner: null, nested: { depth: 3 } });
});

void t.test('build: each call makes a new instance, and runs do not share services', async (t) => {
  const other: Logger = { ...silent };
  const [first, second] = [createBuild([[LOGGER, silent]]), createBuild([[LOGGER, other]])];
  t.not(first(HOOKS, { type: 'NestingHook' }), first(HOOKS, { type: 'NestingHook' }));
  t.equal((second(HOOKS, { type: 'NestingHook' }) as NestingHook).log, other);
});

void t.test('build: a service that is not there is named', async (t) => {
  t.throws(() => createBuild([])(HOOKS, { type: 'NestingHook' }), { message: /diffengine\.LOGGER/ });
});

void t.test('register: a name can be taken once, or be chosen', async (t) => {
  class Chosen extends Hook {
    static readonly options = NestingHook.options;
  }
  HOOKS.register('AnotherName')(Chosen);
  t.equal(HOOKS.get('AnotherName'), Chosen);
  t.throws(() => HOOKS.register('AnotherName')(Chosen), {
    message: 'HOOKS: "AnotherName" is registered twice; choose another name',
  });
});

void t.test('every option of every component has a description, which describe prints', async (t) => {
  for (const registry of allRegistries()) {
    for (const name of registry.names()) {
      const { options } = registry.get(name)!;
      t.equal(typeof options.description, 'string', `${registry.kind} ${name}`);
      for (const [key, property] of Object.entries((options as { properties?: object }).properties ?? {}))
        t.match(property, { description: /\w/ }, `${registry.kind} ${name}.${key}`);
      t.match(text(name), options.description);
    }
  }
});

void t.test('describe: an option with its type, default and meaning', async (t) => {
  t.match(text('L2Loss'), /^L2Loss \(LOSSES\)\n/);
  t.match(text('NestingHook'), /prompt +string \| list of string, default "x"\n +one or more\n/);
  t.match(text('NestingHook'), /depth +integer, default 3\n +levels/);
  t.match(text('NestingHook'), /inner +component of HOOKS, default null\n/);
  t.match(text('VisualizationHook'), /prompt +.*, required\n/);
});

void t.test('explain: values with the file that set them; those behind a ref have the origin of the ref', async (t) => {
  const origins = new Map([
    ['model.lora.r', 'base.ts'],
    ['text.lora', 'my.ts'],
  ]);
  t.equal(
    explainText({ model: { lora: { r: 8 } }, text: { lora: { r: 8 } } }, origins),
    'model.lora.r = 8  # base.ts\ntext.lora.r = 8   # my.ts',
  );
});

void t.test('describe: all components by kind', async (t) => {
  t.match(componentList(), /\nLOSSES\n( {2}.*\n)* {2}L2Loss +\w/);
  t.notMatch(componentList(), /LOGGERS/, 'kinds without components are left out');
});

void t.test('the schema for editors accepts what a config may hold, and refuses what it may not', async (t) => {
  const accepts = new Ajv({ strict: false }).compile(editorSchema());
  t.ok(accepts(valid()), 'a whole config');
  t.ok(
    accepts({
      _base_: './x.yaml',
      model: { loss: { type: 'L2Loss' } },
      custom_hooks: { preview: { interval: 5 }, peft: null },
      optim_wrapper: { _delete_: true },
    }),
    'a part of one',
  );
  t.notOk(accepts({ modle: {} }));
  t.notOk(accepts({ custom_hooks: { preview: { intervall: 5 } } }), 'an option that no hook has');
  t.notOk(accepts({ model: { loss: { type: 'L3Loss' } } }));
  t.notOk(accepts({ train_cfg: { max_iters: 'many' } }));
});
